"""Converts tasks and answers between Covalent's form and that of their S3 objects.

Objects, packed as `wire` defines, hold raw pickles. Covalent holds their base64 text. They are
converted piece by piece, so that a large pickle is never in memory twice.

This uses pybase64: the standard library takes 2 s of one core for the text of 500 MB, and holds the
interpreter's lock meanwhile, which Covalent's event loop also needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pybase64

from covalent_lambda_container.errors import UnusableAnswer
from covalent_lambda_container.files.json_documents import parsed
from covalent_lambda_container.files.streams import Readable
from covalent_lambda_container.runtime import wire

# Multiples of three bytes and four characters: pieces of base64 that can be joined.
_PIECE_BYTES: Final = 3 * 1024 * 1024
_PIECE_CHARACTERS: Final = 4 * 1024 * 1024


_LARGEST_INDEX: Final = 1024 * 1024 * 1024
"""Limit for the index, which contains a result's complete text."""


def packed_task(task: dict[str, Any]) -> Iterator[bytes]:
    """Yield a task's packed form in pieces.

    Parameters
    ----------
    task
        The task as `wire` defines it; leaves are base64 text.

    Raises
    ------
    ValueError
        A leaf is not base64 text.
    """
    leaves: list[str] = []

    def number(leaf: str) -> dict[str, int]:
        leaves.append(leaf)
        return {"blob": len(leaves) - 1}

    envelope = wire.map_leaves(task, number)
    yield wire.index(envelope, [_decoded_size(leaf) for leaf in leaves])
    for leaf in leaves:
        for start in range(0, len(leaf), _PIECE_CHARACTERS):
            yield pybase64.b64decode(leaf[start : start + _PIECE_CHARACTERS], validate=True)


def read_answer(packed: Readable) -> dict[str, Any]:
    """Read a packed answer from a stream; its pickle becomes base64 text.

    Raises
    ------
    ValueError
        The stream ends too early.
    UnusableAnswer
        It is not a packed answer.
    """
    length = int.from_bytes(_read(packed, wire.LENGTH_BYTES), "big")
    answer, sizes = _index(_read(packed, length) if length <= _LARGEST_INDEX else b"")
    for size in sizes:
        # Joined as it grows, so that the pieces are not in memory next to the whole.
        text = ""
        for start in range(0, size, _PIECE_BYTES):
            piece = _read(packed, min(_PIECE_BYTES, size - start))
            text += pybase64.b64encode_as_string(piece)
        answer["result"]["pickle"] = text
    return answer


def _index(text: bytes) -> tuple[dict[str, Any], list[int]]:
    """Return the envelope and the sizes of its blobs: one for a result, otherwise none."""
    try:
        index = parsed(text)
        envelope, sizes = index["envelope"], index["blobs"]
        result = envelope.get("result")
        expected = 0 if result is None else 1
        usable = len(sizes) == expected and all(type(size) is int and size >= 0 for size in sizes)
        if not usable or not isinstance(result, dict | None):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise UnusableAnswer(
            "A function stored something in S3 that is not a packed answer.",
            hint="A task, or a package in its image, may have replaced or patched the handler.",
        ) from None
    return envelope, sizes


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
