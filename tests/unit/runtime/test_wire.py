"""The envelope: what is packed comes out again, and nothing else does."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.runtime import wire

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
    }
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
ENVELOPES = st.dictionaries(st.text(), JSON, max_size=4)


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
    packed = b"".join(wire.packed_task(wire.map_leaves(task, as_text)))
    assert wire.map_leaves(wire.unpack_task(packed), bytes) == task


@given(ENVELOPES, st.lists(LEAVES, max_size=4))
def test_an_envelope_and_its_blobs_come_out_as_they_went_in(
    envelope: dict[str, Any], blobs: list[bytes]
) -> None:
    unpacked, views = wire.unpack(packed(envelope, blobs))
    assert (unpacked, [bytes(view) for view in views]) == (envelope, blobs)


@given(ENVELOPES, st.lists(LEAVES, max_size=3), st.data())
def test_a_cut_off_object_is_refused(
    envelope: dict[str, Any], blobs: list[bytes], data: st.DataObject
) -> None:
    whole = packed(envelope, blobs)
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):
        wire.unpack(whole[:end])


@given(ENVELOPES, st.binary(min_size=1, max_size=9))
def test_an_object_with_something_behind_it_is_refused(
    envelope: dict[str, Any], rest: bytes
) -> None:
    with pytest.raises(ValueError, match="where its index says"):
        wire.unpack(packed(envelope, [b"blob"]) + rest)


def test_blobs_are_not_copied() -> None:
    blob = b"x" * 1000
    assert wire.pack({}, [blob])[1] is blob
    whole = packed({}, [blob])
    assert wire.unpack(whole)[1][0].obj is whole


def test_the_packed_form_is_the_documented_one() -> None:
    index = json.dumps({"envelope": {"v": 1}, "blobs": [3]}).encode()
    assert packed({"v": 1}, [b"abc"]) == len(index).to_bytes(8, "big") + index + b"abc"


def test_raw_pickles_travel_in_three_quarters_of_the_space() -> None:
    text = as_text(b"x" * 90_000)
    task = {"function": text, "args": [text], "kwargs": {}, "before": [], "after": []}
    assert len(b"".join(wire.packed_task(task))) < 0.76 * len(json.dumps(task))


def test_a_large_leaf_is_decoded_in_pieces() -> None:
    leaf = as_text(bytes(range(256)) * 40_000)
    task = {"function": leaf, "args": [], "kwargs": {}, "before": [], "after": []}
    _, *pieces = wire.packed_task(task)
    assert len(pieces) > 1
    assert b"".join(pieces) == base64.b64decode(leaf)


@given(ENVELOPES, st.binary(max_size=50), st.integers(1, 9))
def test_an_answer_is_read_from_a_stream_that_gives_little_at_a_time(
    envelope: dict[str, Any], pickled: bytes, most: int
) -> None:
    answer = wire.read_answer(Trickle(packed(envelope | {"result": {}}, [pickled]), most))
    assert answer == envelope | {"result": {"pickle": as_text(pickled)}}


def test_an_answer_without_a_pickle_is_read_too() -> None:
    assert wire.read_answer(io.BytesIO(packed({"error": "e"}, []))) == {"error": "e"}


def test_a_large_pickle_becomes_one_text() -> None:
    pickled = bytes(range(256)) * 40_000
    answer = wire.read_answer(io.BytesIO(packed({"result": {}}, [pickled])))
    assert answer["result"]["pickle"] == as_text(pickled)


@given(ENVELOPES, LEAVES, st.data())
def test_a_cut_off_answer_is_refused(
    envelope: dict[str, Any], pickled: bytes, data: st.DataObject
) -> None:
    whole = packed(envelope | {"result": {}}, [pickled])
    end = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError):
        wire.read_answer(io.BytesIO(whole[:end]))
