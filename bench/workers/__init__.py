"""Programs that measure, each in a process of its own: ``python -m bench.workers.NAME REQUEST``.

The request is JSON; the last line of standard output is the answer, JSON too.
"""
