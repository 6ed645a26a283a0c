"""Values of many megabytes are read and written in pieces, and say the same as in one piece."""

from __future__ import annotations

import base64
import collections
import datetime
import pickle
from typing import Any

import cloudpickle
import pytest
from covalent._workflow.transport import TransportableObject
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.covalent_api.long_values import (
    as_base64,
    mentions,
    pieces_of,
    references_of,
    size_of_pickle,
)
from covalent_lambda_container.covalent_api.pickles import references
from covalent_lambda_container.covalent_api.transport import transportable

PIECE = 1024 * 1024 // 4 * 3
WORD = b"a word"


def value_of_pickle(pickled: bytes) -> TransportableObject:
    return transportable({}, "", base64.b64encode(pickled).decode())


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize("before", [*range(PIECE - 90, PIECE - 10, 7), 0, 3 * PIECE])
def test_a_long_pickle_refers_to_the_same(before: int, protocol: int) -> None:
    value = [
        bytes(before),
        collections.Counter("ab"),
        {"covalent": "ä" * 700_000, "x": bytearray(5 * PIECE)},
        "x" * 3 * PIECE,
        2 ** (9 * PIECE),
        datetime.date.min,
    ]
    pickled = cloudpickle.dumps(value, protocol)
    found, expected = references_of(value_of_pickle(pickled)), references(pickled)
    assert found.names == expected.names
    assert found.texts >= {text for text in expected.texts if len(text) < 1000}


@pytest.mark.parametrize("name", ["covalent", "x" * 100_000])
def test_a_long_pickle_may_be_broken_anywhere(name: str) -> None:
    whole = (
        bytes([*b"\x80\x04"]) + f"c{name}\nname\n0".encode() + pickle.dumps(bytes(2 * PIECE))[2:]
    )
    for end in (len(whole) - 2, PIECE + 5, 2 * PIECE - 1):
        found = references_of(value_of_pickle(whole[:end] + bytes(9 * (end < PIECE))))
        assert found.package("covalent") is (name == "covalent")


@given(st.integers(0, 20), st.integers(0, 3))
def test_a_word_is_found_wherever_pieces_meet(shift: int, more: int) -> None:
    content = bytes(PIECE - shift) + WORD + bytes(more * 1000)
    assert mentions(value_of_pickle(content), WORD)
    assert not mentions(value_of_pickle(content.replace(WORD, WORD[:-1])), WORD)


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2])
def test_pieces_make_the_pickle_and_its_text(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    value = value_of_pickle(content[:size])
    assert b"".join(pieces_of(value)) == content[:size]
    assert size_of_pickle(value) == size
    assert as_base64(pieces_of(value)) == value.get_serialized()


@given(st.lists(st.binary(max_size=7)))
def test_pieces_of_any_size_make_one_text(pieces: list[Any]) -> None:
    assert as_base64(pieces) == base64.b64encode(b"".join(pieces)).decode()
