"""`warm`, `cold`, `concurrent_20`: executor.run() against bare boto3 on the local AWS."""

from __future__ import annotations

from typing import Final

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage

CONCURRENT: Final = 20


def warm(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure an invocation of a function whose container waits for it."""
    return {"warm": _measured(stage, rounds, at_once=1, cold=False)}


def cold(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure an invocation of a function that is ready, in a fresh container."""
    return {"cold": _measured(stage, rounds, at_once=1, cold=True)}


def concurrent(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure twenty invocations at once, of as many containers that wait for them."""
    return {"concurrent_20": _measured(stage, rounds, at_once=CONCURRENT, cold=False)}


def _measured(stage: Stage, rounds: int, *, at_once: int, cold: bool) -> Measurement:
    samples = stage.work(
        "latency",
        {
            "options": stage.options,
            "owner_profile": stage.stack.owner_profile,
            "stub_options": stage.stub_options,
            "stub_port": stage.stub.port,
            "rounds": rounds,
            "at_once": at_once,
            "cold": cold,
        },
    )
    return sampling.ratio(samples["executor"], samples["bare"], "ms")
