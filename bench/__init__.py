"""Measurements of the executor's overhead: ``python -m bench``, or ``make bench``.

Every figure is a ratio against a yardstick taken in the same run, on the same machine, taking
turns with it, or a plain quantity where there is no yardstick. This process starts what is needed
and computes; each measurement runs in a fresh process of `bench.workers`.
"""
