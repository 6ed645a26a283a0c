"""The command line, ``covalent-lambda``: a group of thin commands over what the executor uses.

A command's module imports heavy modules (boto3, Docker, Covalent) inside the command, so that help
and completion are fast.
"""
