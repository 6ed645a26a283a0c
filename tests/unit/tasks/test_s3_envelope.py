"""What is packed on the dispatcher's side comes out as raw pickles, and the other way round."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.errors import UnusableAnswer
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.s3_envelope import packed_task, read_answer

LEAVES = st.binary(max_size=50)
HOOKS = st.lists(st.tuples(LEAVES, LEAVES, LEAVES, st.text(max_size=5)).map(list), max_size=3)
TASKS = st.fixed_dictionaries(
    {
        "function": LEAVES,
        "args": st.lists(LEAVES, max_size=4),
        "kwargs": st.dictionaries(st.text(max_size=5), LEAVES, max_size=4),
        "before": HOOKS,
        "after": HOOKS,
        "commands": st.lists(st.text(), max_size=2),
        "context": st.dictionaries(st.text(max_size=5), st.text() | st.integers(), max_size=3),
    }
)
ENVELOPES = st.dictionaries(st.text(), st.text() | st.integers() | st.none(), max_size=4)


class Trickle(io.BytesIO):
    """A stream that returns fewer bytes than it is asked for."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self._most = most

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._most if size is None or size < 0 else min(size, self._most))


def packed(envelope: dict[str, Any], blobs: list[bytes]) -> bytes:
    return b"".join(wire.pack(envelope, blobs))


def as_text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


@given(TASKS)
def test_a_packed_task_comes_out_as_raw_pickles(task: dict[str, Any]) -> None:
    whole = b"".join(packed_task(wire.map_leaves(task, as_text)))
    assert wire.map_leaves(wire.unpack_task(whole), bytes) == task


def test_raw_pickles_travel_in_three_quarters_of_the_space() -> None:
    text = as_text(b"x" * 90_000)
    task = {"function": text, "args": [text], "kwargs": {}, "before": [], "after": []}
    assert len(b"".join(packed_task(task))) < 0.76 * len(json.dumps(task))


def test_a_large_leaf_is_decoded_in_pieces() -> None:
    leaf = as_text(bytes(range(256)) * 40_000)
    task = {"function": leaf, "args": [], "kwargs": {}, "before": [], "after": []}
    _, *pieces = packed_task(task)
    assert len(pieces) > 1
    assert b"".join(pieces) == base64.b64decode(leaf)


@given(ENVELOPES, st.binary(max_size=50), st.integers(1, 9))
def test_an_answer_is_read_from_a_stream_that_gives_little_at_a_time(
    envelope: dict[str, Any], pickled: bytes, most: int
) -> None:
    answer = read_answer(Trickle(packed(envelope | {"result": {}}, [pickled]), most))
    assert answer == envelope | {"result": {"pickle": as_text(pickled)}}


def test_an_answer_without_a_pickle_is_read_too() -> None:
    assert read_answer(io.BytesIO(packed({"error": "e"}, []))) == {"error": "e"}


def test_a_large_pickle_becomes_one_text() -> None:
    pickled = bytes(range(256)) * 40_000
    answer = read_answer(io.BytesIO(packed({"result": {}}, [pickled])))
    assert answer["result"]["pickle"] == as_text(pickled)


@given(ENVELOPES, LEAVES, st.text(max_size=50), st.integers(1, 9))
def test_the_text_of_a_result_may_be_a_blob(
    envelope: dict[str, Any], pickled: bytes, text: str, most: int
) -> None:
    whole = packed(envelope | {"result": {"string": ""}}, [pickled, text.encode()])
    answer = read_answer(Trickle(whole, most))
    assert answer == envelope | {"result": {"pickle": as_text(pickled), "string": text}}


def test_a_long_text_keeps_characters_that_two_pieces_share() -> None:
    for text in ("x" + "ä😀" * 1_500_000, "x" * 10_000_000):
        answer = read_answer(io.BytesIO(packed({"result": {}}, [b"p", text.encode()])))
        assert answer["result"]["string"] == text


@pytest.mark.parametrize("text", ["x" * 10_000_000 + "ä", "ä" * 5_000_000])
def test_a_long_text_is_no_sublattice_if_it_has_more_than_ascii(text: str) -> None:
    with pytest.raises(UnusableAnswer):
        read_answer(io.BytesIO(packed({"result": {}}, [b"p", text.encode()])))


@given(ENVELOPES, LEAVES, st.data())
def test_a_cut_off_answer_is_refused(
    envelope: dict[str, Any], pickled: bytes, data: st.DataObject
) -> None:
    whole = packed(envelope | {"result": {}}, [pickled])
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):
        read_answer(io.BytesIO(whole[:end]))


def test_a_leaf_that_is_no_base64_is_refused() -> None:
    task = {"function": "AAAA*", "args": [], "kwargs": {}, "before": [], "after": []}
    with pytest.raises(ValueError):
        list(packed_task(task))
