"""Bytes that are produced piece by piece, as a readable file."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any, Protocol


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


def reader(pieces: Iterable[bytes]) -> io.BufferedReader:
    """Return a file over pieces whose reads are short at its end only."""
    stream: Any = ChunkStream(pieces)
    return io.BufferedReader(stream)


class ChunkStream(io.RawIOBase):
    """A readable stream over pieces that are made as they are read.

    Parameters
    ----------
    pieces
        Bytes, in order; empty ones do not end the stream.
    """

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
