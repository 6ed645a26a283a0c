"""Programs that measure, each in its own process: ``python -m bench.workers.NAME REQUEST``.

The request is JSON; the last line of standard output is the answer, JSON too.
"""
