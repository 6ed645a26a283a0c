"""Handles invocations one after the other, from event to answer."""

from __future__ import annotations

import json
import os
import signal
import time
from typing import Any

from . import wire
from .delivery import Deliveries
from .descendants import how
from .live_output import LiveOutput
from .memory_file import memory_file, write_all
from .task_process import Cancellation, Ended, task_process
from .template import Template

_RESERVE_S = 1.0
"""Seconds reserved at the end of an invocation, after the last attempt to store an answer."""

_END_S = 2.0
_END_PART = 0.1
"""Time before the function's deadline at which a task is ended: seconds, or this part of its time
if that is less. Lambda itself would end handler and task together, so that no answer could be
stored: if the connection was also lost, the dispatcher would not learn what happened."""

_LAST_RESERVE_S = 0.1
"""Like `_RESERVE_S`, for the answer to a task whose time was up, which is small."""

_FOREVER_S = 900.0


class TaskNotRead(Exception):
    """The task could not be read from S3; nothing ran."""


class TaskNotKept(Exception):
    """There was no room for the task; nothing ran."""


class Handler:
    """Answers invocations.

    Parameters
    ----------
    scratch
        The folder that tasks may write to, emptied between tasks.
    """

    def __init__(self, scratch: str) -> None:
        self._template = Template(scratch)
        self._deliveries = Deliveries()
        self._invocations = 0
        self._name = os.urandom(8).hex()

    def handle(self, event: dict[str, Any], context: Any) -> dict[str, Any]:
        """Answer one invocation.

        Parameters
        ----------
        event
            A task: ``v``, ``id``, ``task`` or ``task_url``, ``result_url``, ``cancel_url``,
            ``cancel_poll_s``, ``inline_limit`` (bytes), ``durable_after_s``, and ``live_url`` with
            ``live_interval_s`` if its output is to be shown while it runs; or ``v`` and ``ping``
            with ``hold_s``. Both may have ``store``, ids of tasks whose answers are to be stored in
            S3; a ping then waits for ``hold_s``, but not until the function's deadline.
        context
            Lambda's context, for the remaining time; None for a quarter of an hour.

        Returns
        -------
        dict
            The answer as `wire` defines it, ``{"v", "result_at": "s3"}`` when it went to S3, or
            ``{"v", "pong", "cold", "environment", "stored"}``.
        """
        started = time.perf_counter()
        _check_version(event)
        self._template.restore_limits()
        self._invocations += 1
        cold = self._invocations == 1
        stored: list[str] = []
        if event.get("store"):
            stored = self._deliveries.store(event["store"], _remaining_s(context))
        if event.get("ping"):
            # Lambda would end the environment, and the answers that it remembers.
            time.sleep(min(event["hold_s"], _remaining_s(context)))
            pong = {"v": wire.VERSION, "pong": True, "cold": cold}
            return pong | {"environment": self._name, "stored": stored}
        task_file = memory_file("task")
        try:
            packed = _receive(event, task_file, _remaining_s(context))
            with task_process(self._template, task_file, packed=packed) as process:
                remaining_s = _remaining_s(context, reserve_s=0)
                ended = process.wait(
                    _cancellation(event),
                    _live(event),
                    most_s=remaining_s - min(_END_S, _END_PART * remaining_s),
                )
                answer = _answer(ended)
                if answer["status"] == wire.COMPLETED:
                    peak_bytes = ended.peak_kb * 1024 + os.fstat(process.result_file).st_size
                else:
                    peak_bytes = ended.peak_kb * 1024
                elapsed_s = time.perf_counter() - started
                answer["usage"] = {
                    "cold": cold,
                    "duration_ms": round(elapsed_s * 1000, 3),
                    "peak_memory_mb": round(peak_bytes / 2**20, 1),
                }
                reserve_s = _LAST_RESERVE_S if ended.timed_out else _RESERVE_S
                return self._deliveries.send(
                    event,
                    answer,
                    process.result_file,
                    elapsed_s,
                    _remaining_s(context, reserve_s=reserve_s),
                )
        finally:
            os.close(task_file)


def _check_version(event: dict[str, Any]) -> None:
    if event.get("v") != wire.VERSION:
        raise ValueError(
            f"This image reads envelope version {wire.VERSION} and was sent {event.get('v')!r}. "
            "Dispatcher and image come from different releases of covalent-lambda-container."
        )


def _remaining_s(context: Any, *, reserve_s: float = _RESERVE_S) -> float:
    if context is None:
        return _FOREVER_S
    remaining_s: float = context.get_remaining_time_in_millis() / 1000 - reserve_s
    return max(remaining_s, 0.0)


def _receive(event: dict[str, Any], task_file: int, remaining_s: float) -> bool:
    """Write the task to a file; return whether it is packed."""
    try:
        if "task" in event:
            write_all(task_file, json.dumps(event["task"]).encode())
            return False
        from .transfer import download

        download(event["task_url"], task_file, patience_s=remaining_s / 2)
    except OSError as exc:
        # Only the system's own errors have a number: those of S3 and the network are texts.
        kind = TaskNotRead if exc.errno is None else TaskNotKept
        raise kind(str(exc)) from None
    return True


def _cancellation(event: dict[str, Any]) -> Cancellation | None:
    url = event.get("cancel_url")
    return Cancellation(url, event["id"], event.get("cancel_poll_s", 1.0)) if url else None


def _live(event: dict[str, Any]) -> LiveOutput | None:
    url = event.get("live_url")
    return LiveOutput(url, event["live_interval_s"]) if url else None


def _answer(ended: Ended) -> dict[str, Any]:
    """Return the answer to a task that has ended, without its pickle and usage."""
    given = ended.answer or {}
    answer: dict[str, Any] = {"v": wire.VERSION, "result": None, "error": None}
    if given.get("status") == wire.COMPLETED and isinstance(given.get("result"), dict):
        answer |= {"status": wire.COMPLETED, "result": given["result"]}
    elif ended.cancelled:
        answer["status"] = wire.CANCELLED
    elif given.get("status") == wire.FAILED and isinstance(given.get("error"), dict):
        answer |= {"status": wire.FAILED, "error": given["error"]}
    else:
        kind, message = "Runtime.ExitError", ended.how
        if given.get("status") == wire.CANCELLED:
            # The signal came from elsewhere than the handler.
            message = how(signal.SIGUSR1)
        if ended.timed_out:
            # In Lambda's own words.
            kind, message = "Sandbox.Timedout", "Task timed out"
        error = {"type": kind, "message": message, "traceback": ""}
        answer |= {"status": wire.CRASHED, "error": error}
    return answer | {"stdout": ended.stdout, "stderr": ended.stderr}
