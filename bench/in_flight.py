"""`in_flight_*`, `loop_block_ms`: thousands of tasks at once, against the stub.

The stub answers every invocation after one second. Throughput is the number of tasks divided by
the time from the first call to the last return, all of them called at once. Each burst has a
process of its own.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from typing import Any, Final

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage

DELAY_S: Final = 1.0
_BARE: Final = ("threads", "aiohttp", "pyqwest")
_BESIDE: Final = "bare beside tasks"
"""The bare pyqwest client in a process that holds what Covalent holds: not a yardstick, but the
part of the distance to it that exists without this project's code."""
_IN_COVALENT: Final = ("executor", _BESIDE)

Bursts = dict[str, list[dict[str, Any]]]


def thousand(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure a thousand tasks at once."""
    bursts = _bursts(stage, 1000, rounds)
    return {"in_flight_1000": _throughput(bursts)}


def five_thousand(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure five thousand tasks at once: throughput, memory, and what the event loop feels."""
    count = 5000
    bursts = _bursts(stage, count, rounds)
    ours = bursts["executor"]
    memory = [burst["peak_bytes"] / 1e6 / count for burst in ours]
    late = {side: [burst["loop_block_ms"] for burst in bursts[side]] for side in _IN_COVALENT}
    blocked = sampling.median(late["executor"], "ms")
    beside = sampling.described(late[_BESIDE], "ms")
    return {
        "in_flight_5000": _throughput(bursts),
        "in_flight_mb_each": sampling.median(memory, "MB"),
        "loop_block_ms": Measurement(
            value=blocked.value, detail=f"{blocked.detail}; {_BESIDE}: {beside}"
        ),
    }


def _bursts(stage: Stage, count: int, rounds: int) -> Bursts:
    stub, options = stage.stub, stage.stub_options
    known = stage.work("event", {"options": options, "stub_port": stub.port})
    request = {"options": options, "event": known["event"], "tasks": count}
    bursts: Bursts = defaultdict(list)
    # What the stub can do, once: it must not be what limits.
    for side in ["unsigned", *sampling.turns((*_IN_COVALENT, *_BARE), rounds)]:
        stub.behave(DELAY_S, known["answer"])
        worker = "executor_burst" if side in _IN_COVALENT else "bare_burst"
        burst = stage.work(worker, request | {"side": side})
        burst["rate"] = count / burst["seconds"]
        bursts[side].append(burst)
        stage.report(_described(side, count, burst, stub.statistics()))
    return bursts


def _described(side: str, count: int, burst: dict[str, Any], stub: dict[str, Any]) -> str:
    return (
        f"{count} at once, {side}: {burst['rate']:.0f} tasks/s, "
        f"{burst['processor_s'] / count * 1000:.2f} ms of processor time each, "
        f"{burst['peak_bytes'] / 1e6:.0f} MB, loop late by {burst['loop_block_ms']:.0f} ms; "
        f"stub: {stub['processor_s']:.1f} s of processor time, {stub['peak_in_flight']} at once, "
        f"late by {stub['latest_ms']:.0f} ms"
    )


def _throughput(bursts: Bursts) -> Measurement:
    rates = {side: [burst["rate"] for burst in taken] for side, taken in bursts.items()}
    yardstick = sampling.better({side: rates[side] for side in _BARE})
    measured = sampling.ratio(rates["executor"], rates[yardstick], "tasks/s")
    known = {_BESIDE: rates[_BESIDE], "the stub alone": rates["unsigned"]}
    others = [f"{side}: {statistics.median(of):,.0f} tasks/s" for side, of in known.items()]
    return Measurement(
        value=measured.value,
        detail="; ".join([f"{measured.detail} ({yardstick})", *others]),
    )
