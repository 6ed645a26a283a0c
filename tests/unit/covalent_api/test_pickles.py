"""Pickles read and written unopened."""

from __future__ import annotations

import collections
import contextlib
import datetime
import io
import os.path
import pickle
import tracemalloc
from typing import Any

import cloudpickle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.covalent_api.pickles import (
    pickled_dict,
    pickled_list,
    plain_value,
    references,
)

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(), inner, max_size=3)
    ),
)


class Imports(pickle.Unpickler):
    """Remembers what an unpickler really imports."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.names: set[tuple[str, str]] = set()

    def find_class(self, module: str, name: str) -> Any:
        self.names.add((module, name))
        return super().find_class(module, name)


class Bomb:
    def __reduce__(self) -> Any:
        return pytest.fail, ("it was opened",)


def local_function(argument: int) -> str:
    return os.path.normcase(str(datetime.timedelta(argument)) + collections.__name__)


def closure() -> Any:
    kept = collections.OrderedDict(x=datetime.date(2026, 1, 1))
    return lambda: (kept, local_function, os.path, io.BytesIO)


@pytest.mark.parametrize("protocol", [3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        1,
        local_function,
        closure(),
        [collections.OrderedDict(), collections.Counter("aab"), collections.OrderedDict()],
        datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc),
        Imports,
        type("Made", (Exception,), {"method": closure()}),
        {"nested": [(int, str, pytest.raises)]},
    ],
)
def test_the_names_are_those_that_an_unpickler_would_import(value: Any, protocol: int) -> None:
    pickled = cloudpickle.dumps(value, protocol)
    unpickler = Imports(pickled)
    unpickler.load()
    names = {name for name in references(pickled).names if name[1]}
    assert names == unpickler.names


@given(st.lists(st.sampled_from([collections.Counter(), datetime.date.min, len, "x" * 300, 1])))
def test_names_are_found_when_the_memo_holds_them(values: list[Any]) -> None:
    pickled = cloudpickle.dumps([values, values[::-1]])
    unpickler = Imports(pickled)
    unpickler.load()
    assert references(pickled).names == unpickler.names


def test_a_module_is_a_reference_too() -> None:
    found = references(cloudpickle.dumps([os.path, closure()]))
    assert (os.path.__name__, "") in found.names
    assert found.package("datetime")


def test_a_string_that_only_mentions_a_package_is_no_reference() -> None:
    found = references(cloudpickle.dumps(["covalent", "covalent.executor", "subimport"]))
    assert found.names == set()
    assert not found.package("covalent")
    assert "covalent.executor" in found.texts


def test_a_package_is_not_its_prefix() -> None:
    assert not references(b"ccovalent_cloud.x\nname\n.").package("covalent")
    assert references(b"ccovalent.x\nname\n.").package("covalent")


@pytest.mark.parametrize(
    "pickled",
    [
        b"",
        b"\x80\x04ccovalent\nname\n\xff covalent",
        b"\x80\x04ccovalent\nname\n\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x80\x04ccovalent\nname\nF1e9e9\n.",
        b"\x80\x04K\x01K\x02\x93ccovalent\nname\n.",
        b"\x80\x04ccovalent\nname\nh\x07h\x08\x93.",
        b"\x80\x04ccovalent\nname\nccovalent\nname\n\x93.",
    ],
)
def test_of_a_broken_pickle_the_names_before_the_fault_are_read(pickled: bytes) -> None:
    assert references(pickled).package("covalent") is (pickled != b"")


@given(PLAIN, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_plain_values_are_read(value: Any, protocol: int) -> None:
    assert plain_value(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("value", [len, os.path, Bomb(), {"x": [Bomb()]}, {1, 2}.__class__])
def test_anything_that_would_have_to_be_imported_is_refused(value: Any) -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"it refers to .*, where plain data"):
        plain_value(cloudpickle.dumps(value))


@pytest.mark.parametrize(
    "pickled", [b"", b".", b"garbage", b"0.", b"\x80\x09N.", b"\x80\x04]", b"}(Ns.", b"X\xff\xff"]
)
def test_a_broken_pickle_is_refused(pickled: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError):
        plain_value(pickled)


def test_a_small_pickle_cannot_take_much_memory() -> None:
    # Memo index 4 194 303 costs 64 MB here; the largest one costs 64 GB.
    pickled = b"\x80\x04]r\xff\xff\x3f\x00."
    tracemalloc.start()
    try:
        with contextlib.suppress(pickle.UnpicklingError):
            plain_value(pickled)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def sized(pickled: bytes) -> tuple[int, list[bytes]]:
    return len(pickled), [pickled[:3], pickled[3:]]


@given(st.lists(PLAIN, max_size=4))
def test_a_list_is_put_together_from_pickles(elements: list[Any]) -> None:
    pickles = [sized(cloudpickle.dumps(one)) for one in elements]
    assert pickle.loads(b"".join(pickled_list(pickles))) == elements


@given(st.dictionaries(st.text(), PLAIN, max_size=4))
def test_a_dictionary_is_put_together_from_pickles(value: dict[str, Any]) -> None:
    pickles = (cloudpickle.dumps(list(each)) for each in (value, value.values()))
    assert pickle.loads(b"".join(pickled_dict(*map(sized, pickles)))) == value


def test_elements_are_not_opened_when_they_are_put_together() -> None:
    bomb = pickle.dumps(Bomb())
    assert bomb in b"".join(pickled_list([sized(bomb)]))
    assert bomb in b"".join(pickled_dict(sized(bomb), sized(bomb)))


def nested(depth: int) -> bytes:
    """Return the opcodes of a tuple of ten tuples of ten tuples, each there once."""
    innermost = b"K\x00\x85\x94"
    return innermost + b"".join(b"(" + b"h%c" % level * 10 + b"t\x94" for level in range(depth))


@pytest.mark.parametrize(
    "key",
    [
        nested(20),
        nested(20).replace(b"\x94", b"]0\x94"),  # a list, dropped before the tuple is memoized
        b"K\x00\x85" + b"2\x86" * 60,
    ],
)
def test_a_key_that_takes_for_ever_to_hash_is_refused(key: bytes) -> None:
    with pytest.raises(pickle.UnpicklingError, match="repeated tuples"):
        plain_value(b"\x80\x04}\x94".replace(b"\x94", b"") + key + b"K\x01s.")
