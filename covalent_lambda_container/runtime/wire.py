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
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

VERSION = 1
"""Version of this format; both sides refuse any other."""

COMPLETED = "completed"
FAILED = "failed"
CANCELLED = "cancelled"

LAMBDA_PAYLOAD_LIMIT = 6 * 1024 * 1024
"""Bytes of a synchronous request or response (Lambda quotas page, read 2026-11)."""

_LENGTH_BYTES = 8
# Multiples of three bytes and four characters: pieces of base64 that can be joined.
_CHUNK_BYTES = 3 * 1024 * 1024
_CHUNK_CHARACTERS = 4 * 1024 * 1024


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


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


def pack(envelope: dict[str, Any], blobs: Sequence[bytes]) -> list[bytes]:
    """Return the parts of one S3 object: the index, then the blobs themselves, not copied."""
    return [_index(envelope, [len(blob) for blob in blobs]), *blobs]


def unpack(packed: bytes | bytearray) -> tuple[dict[str, Any], list[memoryview]]:
    """Split what `pack` made; the blobs are views into `packed`, not copies.

    Raises
    ------
    ValueError
        When bytes are missing or left over.
    """
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


def unpack_task(packed: bytes | bytearray) -> dict[str, Any]:
    """Return a packed task; its leaves are bytes-like."""
    envelope, blobs = unpack(packed)
    return map_leaves(envelope, lambda leaf: blobs[leaf["blob"]])


def packed_task(task: dict[str, Any]) -> Iterator[bytes]:
    """Yield a task's packed form in pieces; its leaves are base64 text, decoded piece by piece."""
    leaves: list[str] = []

    def number(leaf: str) -> dict[str, int]:
        leaves.append(leaf)
        return {"blob": len(leaves) - 1}

    envelope = map_leaves(task, number)
    yield _index(envelope, [_decoded_size(leaf) for leaf in leaves])
    for leaf in leaves:
        for start in range(0, len(leaf), _CHUNK_CHARACTERS):
            yield base64.b64decode(leaf[start : start + _CHUNK_CHARACTERS])


def read_answer(packed: Readable) -> dict[str, Any]:
    """Read a packed answer from a stream; its pickle becomes base64 text, piece by piece.

    Raises
    ------
    ValueError
        When the stream ends too early.
    """
    length = int.from_bytes(_read(packed, _LENGTH_BYTES), "big")
    index = json.loads(_read(packed, length))
    answer: dict[str, Any] = index["envelope"]
    for size in index["blobs"]:
        # Joined as it grows: one string in memory, and not all its pieces beside it.
        text = ""
        for start in range(0, size, _CHUNK_BYTES):
            piece = _read(packed, min(_CHUNK_BYTES, size - start))
            text += base64.b64encode(piece).decode("ascii")
        answer["result"]["pickle"] = text
    return answer


def _index(envelope: dict[str, Any], sizes: list[int]) -> bytes:
    index = json.dumps({"envelope": envelope, "blobs": sizes}).encode()
    return len(index).to_bytes(_LENGTH_BYTES, "big") + index


def _decoded_size(text: str) -> int:
    return len(text) // 4 * 3 - text[-2:].count("=")


def _read(stream: Readable, size: int) -> bytes:
    pieces = []
    missing = size
    while missing:
        piece = stream.read(missing)
        if not piece:
            raise ValueError(f"packed envelope ends {missing} bytes too early")
        pieces.append(piece)
        missing -= len(piece)
    return b"".join(pieces)
