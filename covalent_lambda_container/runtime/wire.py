"""The only definition of the envelope that dispatcher and handler exchange.

A task is a mapping whose leaves are pickles::

    {"function": P, "args": [P, …], "kwargs": {name: P, …},
     "before": [[P, P, P, retval_keyword], …], "after": [[P, P, P, ""], …],
     "commands": [shell command, …],
     "context": {"dispatch_id", "node_id", "image"}}

In a Lambda event, each ``P`` is base64 text as Covalent has it. In S3 the same mapping is
*packed*: each ``P`` becomes ``{"blob": i}``, and the raw bytes of all blobs follow it::

    8 bytes, big endian   length of the index
    index                 UTF-8 JSON {"envelope": mapping, "blobs": [size, …]}
    blobs                 raw pickle bytes, one after the other

An answer is ``{"v", "status", "result", "stdout", "stderr", "error", "usage"}``; a packed answer
has its pickle as blob 0 and, if it is long, the text of its result as blob 1, in UTF-8. An error is
``{"type", "message", "traceback"}`` and, if the task raised it, ``"advice"``, ``"missing_module"``,
``"out_of_memory"`` and ``"loading"``. When an answer went to S3, the invocation returns
``{"v", "result_at": "s3"}`` in its place.

While a task runs, its output so far is in S3, if the event has a ``live_url``::

    8 bytes, big endian   length of stdout
    stdout, stderr        text that the handler encodes as UTF-8; the task can replace it
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Callable, Sequence
from typing import Any

Packed = bytes | bytearray | mmap.mmap

VERSION = 1
"""Version of this format; both sides refuse any other."""

COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"
CRASHED = "crashed"
"""The task's process ended without an answer; ``error`` says how."""
NOT_STORED = "not stored"
"""The task ended, but S3 did not accept its answer, which is too large to send inline."""

LAMBDA_PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of a synchronous request or response (Lambda quotas page, read 2026-11)."""

LENGTH_BYTES = 8
"""Bytes of the index's length, at the beginning of packed data."""


def map_leaves(task: dict[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a task with every pickle leaf replaced by ``convert(leaf)``."""
    return {
        "function": convert(task["function"]),
        "args": [convert(leaf) for leaf in task["args"]],
        "kwargs": {name: convert(leaf) for name, leaf in task["kwargs"].items()},
        "before": [_map_hook(hook, convert) for hook in task["before"]],
        "after": [_map_hook(hook, convert) for hook in task["after"]],
        "commands": task.get("commands", []),
        "context": task.get("context", {}),
    }


def _map_hook(hook: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    function, args, kwargs, retval_keyword = hook
    return [convert(function), convert(args), convert(kwargs), retval_keyword]


def pack(envelope: dict[str, Any], blobs: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """Return the parts of one S3 object: the index, then the blobs themselves, not copied."""
    return [index(envelope, [len(blob) for blob in blobs]), *blobs]


def index(envelope: dict[str, Any], sizes: list[int]) -> bytes:
    """Return the part before the blobs: the index's length and the index."""
    text = json.dumps({"envelope": envelope, "blobs": sizes}).encode()
    return len(text).to_bytes(LENGTH_BYTES, "big") + text


def unpack(packed: Packed) -> tuple[dict[str, Any], list[memoryview]]:
    """Split the output of `pack`; the blobs are views into `packed`, not copies.

    Raises
    ------
    ValueError
        Bytes are missing or left over.
    """
    view = memoryview(packed)
    start = LENGTH_BYTES + int.from_bytes(view[:LENGTH_BYTES], "big")
    described = json.loads(bytes(view[LENGTH_BYTES:start]))
    blobs = []
    for size in described["blobs"]:
        blobs.append(view[start : start + size])
        start += size
    if start != len(view):
        raise ValueError(f"packed envelope has {len(view)} bytes where its index says {start}")
    return described["envelope"], blobs


def pack_output(stdout: bytes, stderr: bytes) -> list[bytes]:
    """Return the parts of the object with a running task's output."""
    return [len(stdout).to_bytes(LENGTH_BYTES, "big"), stdout, stderr]


def unpack_output(packed: bytes) -> tuple[bytes, bytes]:
    """Return stdout and stderr from the output of `pack_output`; any bytes are accepted."""
    start = LENGTH_BYTES + int.from_bytes(packed[:LENGTH_BYTES], "big")
    return packed[LENGTH_BYTES:start], packed[start:]


def unpack_task(packed: Packed) -> dict[str, Any]:
    """Return a packed task; its leaves are bytes-like."""
    envelope, blobs = unpack(packed)
    return map_leaves(envelope, lambda leaf: blobs[leaf["blob"]])
