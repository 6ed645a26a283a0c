"""The envelope that dispatcher and handler exchange: its one definition, used by both.

A task is a mapping whose leaves are pickles::

    {"function": P, "args": [P, …], "kwargs": {name: P, …},
     "before": [[P, P, P, retval_keyword], …], "after": [[P, P, P, ""], …],
     "commands": [shell command, …]}

Inside a Lambda event each ``P`` is the base64 text that Covalent already made. In S3 the same
mapping is *packed*: each ``P`` becomes ``{"blob": i}``, and the raw bytes of all blobs follow it::

    8 bytes, big endian   length of the index
    index                 UTF-8 JSON {"envelope": mapping, "blobs": [size, …]}
    blobs                 raw pickle bytes, one after the other

An answer is ``{"v", "status", "result", "stdout", "stderr", "error", "usage"}``; a packed answer
has its pickle as blob 0. When an answer went to S3, the invocation returns ``{"v", "result_at":
"s3"}`` in its place.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

VERSION = 1
"""Version of this format; both sides refuse any other."""

COMPLETED = "completed"
FAILED = "failed"

LAMBDA_PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of a synchronous request or response (Lambda quotas page, read 2026-11)."""

_LENGTH_BYTES = 8


def map_leaves(task: dict[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a task with every pickle leaf replaced by ``convert(leaf)``."""
    return {
        "function": convert(task["function"]),
        "args": [convert(leaf) for leaf in task["args"]],
        "kwargs": {name: convert(leaf) for name, leaf in task["kwargs"].items()},
        "before": [_map_hook(hook, convert) for hook in task["before"]],
        "after": [_map_hook(hook, convert) for hook in task["after"]],
        "commands": task.get("commands", []),
    }


def _map_hook(hook: list[Any], convert: Callable[[Any], Any]) -> list[Any]:
    function, args, kwargs, retval_keyword = hook
    return [convert(function), convert(args), convert(kwargs), retval_keyword]


def pack(envelope: dict[str, Any], blobs: list[bytes]) -> bytes:
    """Join an envelope and its blobs into one S3 object."""
    index = json.dumps({"envelope": envelope, "blobs": [len(blob) for blob in blobs]}).encode()
    return b"".join([len(index).to_bytes(_LENGTH_BYTES, "big"), index, *blobs])


def unpack(packed: bytes) -> tuple[dict[str, Any], list[memoryview]]:
    """Split what `pack` made; the blobs are views into `packed`, not copies."""
    view = memoryview(packed)
    start = _LENGTH_BYTES + int.from_bytes(view[:_LENGTH_BYTES], "big")
    index = json.loads(bytes(view[_LENGTH_BYTES:start]))
    blobs = []
    for size in index["blobs"]:
        blobs.append(view[start : start + size])
        start += size
    if start != len(view):
        raise ValueError(f"packed envelope has {len(view)} bytes where its index says {start}")
    return index["envelope"], blobs


def pack_task(task: dict[str, Any]) -> bytes:
    """Pack a task whose leaves are base64 text."""
    blobs: list[bytes] = []

    def store(leaf: str) -> dict[str, int]:
        blobs.append(base64.b64decode(leaf))
        return {"blob": len(blobs) - 1}

    return pack(map_leaves(task, store), blobs)


def unpack_task(packed: bytes) -> dict[str, Any]:
    """Return a packed task; its leaves are bytes-like."""
    envelope, blobs = unpack(packed)
    return map_leaves(envelope, lambda leaf: blobs[leaf["blob"]])
