"""Tasks and answers on their way through S3, as the dispatcher has them.

What is packed there, as `wire` defines it, holds raw pickles. Covalent holds their base64 text. The
one is made of the other piece by piece, so that a large pickle is never in memory twice.

By pybase64: the standard library takes 2 s of one core for the text of 500 MB, and holds the
interpreter's lock meanwhile, which Covalent's event loop needs too.
"""

from __future__ import annotations

import codecs
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


_LONGEST_UNICODE: Final = 4 * 1024 * 1024
"""Characters. The handler shortens longer texts, except for those of sublattices, which are base64.
"""

_LARGEST_INDEX: Final = 32 * 1024 * 1024
"""Bytes. The index is parsed in one call; what the handler writes there is a few megabytes at most:
output, an error, and the result's text if it is short."""


def packed_task(task: dict[str, Any]) -> Iterator[bytes]:
    """Yield a task's packed form in pieces.

    Parameters
    ----------
    task
        As `wire` defines it; leaves are base64 text.

    Raises
    ------
    ValueError
        When a leaf is none.
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
    """Read a packed answer from a stream, piece by piece; its pickle becomes base64 text.

    Raises
    ------
    ValueError
        The stream ends too early.
    UnusableAnswer
        It holds something else than a packed answer.
    """
    length = int.from_bytes(_read(packed, wire.LENGTH_BYTES), "big")
    answer, sizes = _index(_read(packed, length) if length <= _LARGEST_INDEX else b"")
    if sizes:
        # Joined as it grows: one string in memory, and not all its pieces beside it.
        text = ""
        for piece in _pieces(packed, sizes[0]):
            text += pybase64.b64encode_as_string(piece)
        answer["result"]["pickle"] = text
    if sizes[1:]:
        answer["result"]["string"] = _text(_pieces(packed, sizes[1]))
    return answer


def _pieces(packed: Readable, size: int) -> Iterator[bytes]:
    for start in range(0, size, _PIECE_BYTES):
        yield _read(packed, min(_PIECE_BYTES, size - start))


def _text(pieces: Iterator[bytes]) -> str:
    """Decode a text; a long one has nothing but ASCII.

    A character that needs more room than those before it would have the whole text copied.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    text = ""
    try:
        for piece in pieces:
            text += decoder.decode(piece)
            if len(text) > _LONGEST_UNICODE and not text.isascii():
                raise _unusable()
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise _unusable() from None
    return text


def _index(text: bytes) -> tuple[dict[str, Any], list[int]]:
    """Return the envelope and the sizes of its blobs: of a result's pickle, and of its text if that
    is long; none for any other answer.
    """
    try:
        index = parsed(text)
        envelope, sizes = index["envelope"], index["blobs"]
        result = envelope.get("result")
        expected = (0,) if result is None else (1, 2)
        usable = len(sizes) in expected and all(type(size) is int and size >= 0 for size in sizes)
        if not usable or not isinstance(result, dict | None):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _unusable() from None
    return envelope, sizes


def _unusable() -> UnusableAnswer:
    return UnusableAnswer(
        "A function stored something in S3 that is not a packed answer.",
        hint="A task, or a package in its image, may have replaced or patched the handler.",
    )


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
