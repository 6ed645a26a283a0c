"""Pieces of bytes as a file."""

from __future__ import annotations

import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.files.streams import ChunkStream


@given(pieces=st.lists(st.binary(max_size=50)), size=st.integers(1, 60))
def test_the_stream_has_the_bytes_of_its_chunks(pieces: list[bytes], size: int) -> None:
    stream: Any = ChunkStream(iter(pieces))
    buffered = io.BufferedReader(stream)
    read = list(iter(lambda: buffered.read(size), b""))
    assert b"".join(read) == b"".join(pieces)
    assert all(len(one) == size for one in read[:-1])


def test_pieces_are_made_when_they_are_read() -> None:
    made = []

    def make() -> Any:
        for number in range(3):
            made.append(number)
            yield b"xx"

    stream = ChunkStream(make())
    assert made == []
    assert stream.read(1) == b"x"
    assert made == [0]


def test_a_piece_that_cannot_be_made_is_an_error_of_the_reader() -> None:
    def make() -> Any:
        yield b"x"
        raise OSError("broken")

    stream = ChunkStream(make())
    assert stream.read(1) == b"x"
    with pytest.raises(OSError, match="broken"):
        stream.read(1)
