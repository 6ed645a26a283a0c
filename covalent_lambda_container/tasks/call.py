"""A task to be sent: its payload, and the S3 objects that belong to it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from covalent_lambda_container.model.names import OBJECT_PREFIX


@dataclass(frozen=True, kw_only=True)
class Call:
    """A task to be sent to a function.

    Parameters
    ----------
    function_name, image_tag
        The function that runs it, and its image's tag; empty if that is not known.
    payload, payload_bytes
        The task as `wire` defines it, leaves base64 text; and the length of the leaves.
    dispatch_id, node_id
        Covalent's identifiers of the task.
    timeout_s, memory_mb
        The function's timeout and memory.
    poll_interval_s
        Seconds between checks for an answer whose connection was lost.
    cleanup
        Whether the task's S3 objects are removed at the end.
    prewarmed
        Execution environments that were started before the first task.
    """

    function_name: str
    payload: dict[str, Any]
    payload_bytes: int
    dispatch_id: str
    node_id: int
    timeout_s: int
    memory_mb: int
    poll_interval_s: float
    cleanup: bool
    image_tag: str = ""
    prewarmed: int = 0


@dataclass(kw_only=True)
class TaskObjects:
    """The S3 objects of one task: their keys, and which of them may exist."""

    task_id: str
    task_key: str
    result_key: str
    live_key: str
    used: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, call: Call) -> TaskObjects:
        task_id = uuid.uuid4().hex
        prefix = f"{OBJECT_PREFIX}{call.dispatch_id}/{call.node_id}-{task_id}"
        return cls(
            task_id=task_id,
            task_key=f"{prefix}/task",
            result_key=f"{prefix}/result",
            live_key=f"{prefix}/live",
        )
