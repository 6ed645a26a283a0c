"""`large_result_memory`, `large_result_time`: a task with a result or argument of 500 MB.

Each side has a process of its own, so that one's memory is not another's.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage

PAYLOAD_BYTES: Final = 500_000_000
_TASKS: Final = ("result", "argument")
_BARE: Final = ("put and get", "upload and download")


def result_and_argument(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure memory and time of both, and report the worse of each."""
    taken: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for side in sampling.turns((*_TASKS, *_BARE), rounds):
        request = {"options": stage.options, "side": side, "bytes": PAYLOAD_BYTES}
        measured = stage.work("large", request)
        taken[side].append(measured)
        stage.report(_described(side, measured))
    seconds = {side: [one["seconds"] for one in measured] for side, measured in taken.items()}
    yardstick = min(_BARE, key=lambda side: sampling.median(seconds[side], "s").value)
    memory = {side: _memory(side, taken[side]) for side in _TASKS}
    time = {side: sampling.ratio(seconds[side], seconds[yardstick], "s") for side in _TASKS}
    return {
        "large_result_memory": _worse(memory),
        "large_result_time": _worse(time, f" ({yardstick})"),
    }


def _memory(side: str, taken: list[dict[str, Any]]) -> Measurement:
    """Return peak memory in payloads, the argument's own text included."""
    peaks = [one["peak_bytes"] / PAYLOAD_BYTES for one in taken]
    own = taken[0]["given_bytes"] / PAYLOAD_BYTES
    included = f", {own:.2f} of it the {side}'s own text" if own else ""
    described = sampling.described(peaks, "payloads")
    return Measurement(value=sampling.median(peaks, "").value, detail=described + included)


def _worse(sides: dict[str, Measurement], note: str = "") -> Measurement:
    value = max(measurement.value for measurement in sides.values())
    details = [f"{side} {one.value:.2f}: {one.detail}" for side, one in sides.items()]
    return Measurement(value=value, detail="; ".join(details) + note)


def _described(side: str, measured: dict[str, Any]) -> str:
    text = f"{PAYLOAD_BYTES / 1e6:.0f} MB, {side}: {measured['seconds']:.2f} s"
    if "peak_bytes" not in measured:
        return text
    text += f", peak {measured['peak_bytes'] / 1e6:.0f} MB above the start"
    given = measured["given_bytes"]
    return f"{text}, {given / 1e6:.0f} MB of it the argument's own text" if given else text
