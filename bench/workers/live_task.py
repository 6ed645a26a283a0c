"""Runs a task that computes and prints in the real handler, with and without output uploads.

On one core, as in a function with less than 1,769 MB: what an upload takes, the task does not have.
"""

from __future__ import annotations

import base64
import os
import sys
import tempfile
from typing import Any, Final

import cloudpickle

from bench.sampling import turns
from bench.workers import protocol
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.runtime.invocation import Handler
from covalent_lambda_container.tasks.live_output import INTERVAL_S

_LINES: Final = 600
_LINE_S: Final = 0.02


def compute(lines: int, loops: int) -> None:
    """Print lines, with some work before each."""
    for line in range(lines):
        total = 0
        for number in range(loops):
            total += number * number
        print(f"line {line} of {lines}: {total}")


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Time the task ``rounds`` times on each side, in seconds."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cloudpickle.register_pickle_by_value(sys.modules[compute.__module__])
    with tempfile.TemporaryDirectory() as scratch:
        handler = Handler(scratch)

        def run(lines: int, loops: int, event: dict[str, Any]) -> float:
            task = {
                "function": _leaf(compute),
                "args": [_leaf(lines), _leaf(loops)],
                "kwargs": {},
                "before": [],
                "after": [],
            }
            usual = {
                "v": wire.VERSION,
                "id": "task",
                "task": task,
                "result_url": "http://127.0.0.1:1/not-expected",
                "inline_limit": wire.LAMBDA_PAYLOAD_LIMIT,
                "durable_after_s": 1e9,
            }
            answer = handler.handle(usual | event, None)
            if answer["status"] != wire.COMPLETED:
                raise RuntimeError(f"the task ended with {answer}")
            return float(answer["usage"]["duration_ms"]) / 1000

        loops = 20_000
        loops = round(loops * _LINE_S * 50 / run(50, loops, {}))
        sides = {
            "shown": {"live_url": request["live_url"], "live_interval_s": INTERVAL_S},
            "not shown": {},
        }
        samples: dict[str, list[float]] = {side: [] for side in sides}
        for side in turns(tuple(sides), request["rounds"]):
            samples[side].append(run(_LINES, loops, sides[side]))
    return samples


def _leaf(value: Any) -> str:
    return base64.b64encode(cloudpickle.dumps(value)).decode()


if __name__ == "__main__":
    protocol.answer(measure)
