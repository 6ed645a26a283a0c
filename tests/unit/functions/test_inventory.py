"""Unused functions and images are found, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.functions.inventory import (
    RUNNING,
    FunctionEntry,
    Inventory,
    find_unused,
    remove,
    take_inventory,
)
from covalent_lambda_container.ports.functions import ACTIVE, FunctionRecord, FunctionState
from covalent_lambda_container.ports.registry import ImageRecord
from tests.fakes import FakeFunctions, FakeLogs, FakeRegistry
from tests.fakes.examples import function_spec

NOW = datetime(2026, 11, 24, 12, tzinfo=timezone.utc)
MONTH = timedelta(days=30)
TAG = "0123456789abcdef" * 2


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def image(digest: str = "a", *, pushed: datetime, pulled: datetime | None = None) -> ImageRecord:
    return ImageRecord(
        digest=f"sha256:{digest}", tags=(TAG,), size_bytes=1, pushed=pushed, pulled=pulled
    )


def function(
    name: str = "f", *, digest: str = "a", modified: datetime, used: datetime | None = None
) -> FunctionEntry:
    record = FunctionRecord(
        name=name, image=f"r@sha256:{digest}", memory_mb=128, modified=modified, tags={}
    )
    return FunctionEntry(record=record, last_used=used)


def names(
    *entries: FunctionEntry | ImageRecord,
    keep: timedelta = MONTH,
    others: frozenset[str] = frozenset(),
) -> tuple[set[str], set[str]]:
    """Return names and digests of what is find_unused."""
    inventory = Inventory(
        images=tuple(entry for entry in entries if isinstance(entry, ImageRecord)),
        functions=tuple(entry for entry in entries if isinstance(entry, FunctionEntry)),
        digests_of_others=others,
    )
    what = find_unused(inventory, now=NOW, keep=keep)
    return {e.record.name for e in what.functions}, {i.digest for i in what.images}


def test_an_unused_function_is_removed_with_its_image() -> None:
    old = ago(days=31)
    assert names(function(modified=old), image(pushed=old)) == ({"f"}, {"sha256:a"})
    assert names(function(modified=old, used=old), image(pushed=old, pulled=old)) == (
        {"f"},
        {"sha256:a"},
    )


def test_young_and_recently_used_functions_are_kept() -> None:
    old, young = ago(days=31), ago(days=29)
    nothing: tuple[set[str], set[str]] = (set(), set())
    assert names(function(modified=young), image(pushed=old)) == nothing
    assert names(function(modified=old, used=young), image(pushed=old)) == nothing
    assert names(image(pushed=young)) == nothing
    assert names(image(pushed=old, pulled=young)) == nothing


def test_an_image_stays_as_long_as_any_function_uses_it() -> None:
    old = ago(days=31)
    used = function("used", modified=old, used=ago(days=1))
    assert names(function(modified=old), used, image(pushed=old)) == ({"f"}, set())
    assert names(image(pushed=old), others=frozenset({"sha256:a"})) == (set(), set())


def test_functions_that_may_be_running_are_kept_whatever_the_limit() -> None:
    running = function(modified=ago(days=90), used=ago(minutes=14))
    ended = function(modified=ago(days=90), used=ago(minutes=16))
    assert names(running, keep=timedelta(0)) == (set(), set())
    assert names(ended, keep=timedelta(0)) == ({"f"}, set())


@given(
    ages=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100), st.sampled_from("abc"))),
    pushed=st.dictionaries(st.sampled_from("abc"), st.integers(0, 100)),
    keep=st.integers(0, 60),
)
def test_no_function_that_stays_loses_its_image(
    ages: list[tuple[int, int, str]], pushed: dict[str, int], keep: int
) -> None:
    functions = [
        function(str(n), digest=digest, modified=ago(days=made), used=ago(days=used))
        for n, (made, used, digest) in enumerate(ages)
    ]
    images = [image(digest, pushed=ago(days=days)) for digest, days in pushed.items()]
    gone, lost = names(*functions, *images, keep=timedelta(days=keep))
    oldest = NOW - max(timedelta(days=keep), RUNNING)
    for entry in functions:
        assert (entry.record.name in gone) == (entry.needed_at < oldest)
        assert entry.record.name in gone or entry.digest not in lost


def test_the_inventory_has_only_this_projects_functions_and_images() -> None:
    registry, functions, logs = FakeRegistry(), FakeFunctions(), FakeLogs()
    registry.ensure_repository()
    for tag in (TAG, f"{TAG}-r1", "latest", "0123"):
        registry.accept(tag, tag)
    ours = function_spec(memory_mb=128)
    functions.create(ours)
    logs.write(ours.name, NOW, "used")
    there = take_inventory(registry, functions, logs)
    assert {image.tags for image in there.images} == {(TAG,), (f"{TAG}-r1",)}
    (entry,) = there.functions
    assert (entry.record.name, entry.last_used) == (ours.name, NOW)
    functions.own_tags = {}
    there = take_inventory(registry, functions, logs)
    assert there.functions == ()
    assert there.digests_of_others == {ours.image.digest}


def test_functions_are_removed_before_images() -> None:
    registry, functions, logs = FakeRegistry(), FakeFunctions(), FakeLogs()
    registry.ensure_repository()
    digest = registry.accept(TAG, "content")
    registry.pushed[digest] = ago(days=31)
    functions.states["f"] = FunctionState(state=ACTIVE)
    there = Inventory(
        images=tuple(registry.list_images()),
        functions=(function(digest=digest[7:], modified=ago(days=31)),),
        digests_of_others=frozenset(),
    )
    reported: list[str] = []
    remove(find_unused(there, now=NOW, keep=MONTH), registry, functions, reported.append)
    assert reported == ["Removing function f", "Removing 1 images"]
    assert (functions.deleted, registry.tags) == (["f"], set())
    assert logs.lines == {}
