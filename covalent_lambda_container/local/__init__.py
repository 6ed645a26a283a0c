"""A cloud on one machine: Docker engine, root image, AWS (MiniStack) and a Covalent server.

Each is a context manager that stops everything it started.
"""
