"""The Lambda handler: what comes in, what goes out, by which way."""

from __future__ import annotations

import base64
import json
import resource
import sys
import time
from collections import OrderedDict
from typing import Any

from . import wire
from .execution import execute
from .watch import CancelWatch

_REMEMBERED_ANSWERS = 16
_REMEMBERED_BYTES = 16 * 1024 * 1024

_invocations = 0
# Answers that went out inline, by task: for a dispatcher whose connection broke meanwhile.
_recent: OrderedDict[str, tuple[int, dict[str, Any]]] = OrderedDict()


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ARG001
    """Answer one invocation.

    Parameters
    ----------
    event
        A task: ``v``, ``id``, ``task`` or ``task_url``, ``result_url``, ``cancel_url``,
        ``cancel_poll_s``, ``inline_limit`` (bytes), ``durable_after_s``. Or a question: ``v`` and
        ``ping`` with ``hold_s``, or ``recall`` with a task's id.
    context
        Lambda's context; not used.

    Returns
    -------
    dict
        The answer as `wire` defines it, ``{"v", "result_at": "s3"}`` when it went to S3,
        ``{"v", "pong", "cold"}``, or ``{"v", "recalled": answer or None}``.
    """
    started = time.perf_counter()
    _check_version(event)
    cold = _count_invocation()
    if event.get("ping"):
        time.sleep(event["hold_s"])
        return {"v": wire.VERSION, "pong": True, "cold": cold}
    if "recall" in event:
        _, answer = _recent.get(event["recall"], (0, None))
        if answer is None:
            # Busy for a moment, so that another environment gets the next question.
            time.sleep(event.get("hold_s", 0))
        return {"v": wire.VERSION, "recalled": answer}
    watch = CancelWatch(event.get("cancel_url"), event["id"], event.get("cancel_poll_s", 2.0))
    answer, pickled = execute(_receive(event), watch)
    elapsed_s = time.perf_counter() - started
    answer["usage"] = {
        "cold": cold,
        "duration_ms": round(elapsed_s * 1000, 3),
        # Linux counts in kB (getrusage(2)).
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }
    return _send(event, answer, pickled, elapsed_s)


def _check_version(event: dict[str, Any]) -> None:
    if event.get("v") != wire.VERSION:
        raise ValueError(
            f"This image reads envelope version {wire.VERSION} and was sent {event.get('v')!r}. "
            "Dispatcher and image come from different releases of covalent-lambda-container."
        )


def _count_invocation() -> bool:
    global _invocations
    _invocations += 1
    return _invocations == 1


def _receive(event: dict[str, Any]) -> dict[str, Any]:
    if "task" in event:
        return wire.map_leaves(event["task"], base64.b64decode)
    from .transfer import download

    return wire.unpack_task(download(event["task_url"]))


def _send(
    event: dict[str, Any], answer: dict[str, Any], pickled: bytes | None, elapsed_s: float
) -> dict[str, Any]:
    # Base64 makes four bytes of three; the answer's own text is measured as it will be sent.
    size = len(json.dumps(answer)) + 4 * (len(pickled or b"") // 3 + 1)
    fits = size <= event["inline_limit"]
    if not fits or elapsed_s >= event["durable_after_s"]:
        from .transfer import upload

        try:
            upload(event["result_url"], wire.pack(answer, [] if pickled is None else [pickled]))
        except OSError as exc:
            if not fits:
                raise
            # The connection has most likely held, and carries it too.
            print(f"The answer goes inline: {exc}", file=sys.stderr)
        else:
            return {"v": wire.VERSION, "result_at": "s3"}
    if pickled is not None:
        answer["result"]["pickle"] = base64.b64encode(pickled).decode()
    _remember(event["id"], size, answer)
    return answer


def _remember(task_id: str, size: int, answer: dict[str, Any]) -> None:
    _recent[task_id] = (size, answer)
    while len(_recent) > _REMEMBERED_ANSWERS or _remembered_bytes() > _REMEMBERED_BYTES:
        _recent.popitem(last=False)


def _remembered_bytes() -> int:
    return sum(size for size, _ in _recent.values())
