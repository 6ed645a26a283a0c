"""The envelope: unpacking returns exactly what was packed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.runtime import wire

LEAVES = st.binary(max_size=50)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
ENVELOPES = st.dictionaries(st.text(), JSON, max_size=4)


def packed(envelope: dict[str, Any], blobs: list[bytes]) -> bytes:
    return b"".join(wire.pack(envelope, blobs))


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
