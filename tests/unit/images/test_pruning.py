"""Remnants of builds on this machine: only unused ones of this project are removed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.files.cache_folder import emptying, using
from covalent_lambda_container.images.pruning import Leftover, old_files, old_images, remove
from covalent_lambda_container.model.image_labels import packages_label, spec_label
from tests.fakes import FakeImageStore
from tests.fakes.examples import image_spec

NOW = datetime.now(timezone.utc)
OLD, YOUNG = NOW - timedelta(days=40), NOW - timedelta(days=20)
KEEP = timedelta(days=30)
BASE = "covalent-lambda-base:3.11-x86_64-0123456789abcdef"
PACKAGES = "covalent-lambda-packages:0123456789abcdef"
SPEC = image_spec()
TASK = f"registry.example.com/covalent-lambda:{SPEC.tag}"
SPECIFIED = spec_label(SPEC.json)


def old(store: FakeImageStore, keep: timedelta = KEEP) -> dict[str, int]:
    """Return what could go: bytes by name."""
    found = old_images(store.list_images(), now=NOW, keep=keep)
    return {each.names[0]: each.size_bytes for each in found}


@pytest.fixture
def store() -> FakeImageStore:
    """An engine after one build, 40 days ago; what is without a name are its steps."""
    store = FakeImageStore()
    root = store.make("python:3.11", size=100, made=OLD)
    step = store.make(on=root, size=10, made=OLD)
    base = store.make(BASE, on=step, made=OLD)
    layer = store.make(on=base, size=50, made=OLD)
    labelled = packages_label({"numpy==2.1.0": 50})
    packages = store.make(PACKAGES, on=layer, size=5, labels=labelled, made=OLD)
    runtime = store.make(on=packages, size=1, made=OLD)
    store.make(TASK, on=runtime, labels=SPECIFIED, made=OLD)
    return store


def image_id(store: FakeImageStore, name: str) -> str:
    (found,) = (image.id for image in store.list_images() if name in image.names)
    return found


def total(store: FakeImageStore) -> int:
    """Return the bytes that all images take: the same layers on one another are there once."""
    sizes = {}
    for image in store.images.values():
        below = store.images.get(image.parent)
        if below is None or below.layers != image.layers:
            sizes[image.layers] = image.size - (below.size if below else 0)
    return sum(sizes.values())


def removed(store: FakeImageStore, cache: Path, what: list[Leftover]) -> list[Leftover]:
    return remove(what, cache, store, lambda: what, lambda _: None)


# -- images ---------------------------------------------------------------------------------------


def test_images_of_a_build_go_from_the_top_down_and_the_root_stays(
    store: FakeImageStore, tmp_path: Path
) -> None:
    assert list(old(store).items()) == [(TASK, 1), (PACKAGES, 55), (BASE, 10)]
    removed(store, tmp_path, old_images(store.list_images(), now=NOW, keep=KEEP))
    assert [image.names for image in store.list_images()] == [("python:3.11",)]


def test_a_revision_is_an_image_of_its_spec(store: FakeImageStore) -> None:
    packages = image_id(store, PACKAGES)
    store.make(f"{TASK}-r2", on=packages, size=7, labels=SPECIFIED, made=OLD)
    assert old(store)[f"{TASK}-r2"] == 7


@pytest.mark.parametrize("made_on", [BASE, PACKAGES, TASK])
def test_an_image_with_a_child_of_a_user_is_kept(store: FakeImageStore, made_on: str) -> None:
    # Without a name, it could be a step of a build that goes on elsewhere.
    store.make("science/model:latest", on=image_id(store, made_on), made=OLD)
    order = [TASK, PACKAGES, BASE]
    assert list(old(store)) == order[: order.index(made_on)]


def test_a_step_of_somebody_elses_build_on_a_task_image_stays(store: FakeImageStore) -> None:
    store.make(on=image_id(store, TASK), size=3, made=OLD)
    assert old(store) == {}


@pytest.mark.parametrize("name", ["science/model:latest", f"model:{'0' * 32}", "model:latest-r1"])
def test_a_name_of_somebody_else_keeps_an_image(store: FakeImageStore, name: str) -> None:
    store.name(image_id(store, TASK), name)
    assert old(store) == {}


def test_a_tag_that_only_looks_like_ours_is_not(store: FakeImageStore) -> None:
    store.make(f"science:{SPEC.tag}", made=OLD)
    assert f"science:{SPEC.tag}" not in old(store)


def test_an_image_of_a_container_is_needed_with_all_below(store: FakeImageStore) -> None:
    packages = image_id(store, PACKAGES)
    store.images[packages] = replace(store.images[packages], in_use=True)
    assert list(old(store)) == [TASK]


def test_a_recent_child_counts_as_use_of_an_image(store: FakeImageStore) -> None:
    later = replace(SPEC, commands=("true",))
    name = f"registry.example.com/covalent-lambda:{later.tag}"
    store.make(name, on=image_id(store, PACKAGES), labels=spec_label(later.json), made=YOUNG)
    assert list(old(store)) == [TASK]
    found = old_images(store.list_images(), now=NOW, keep=timedelta(days=10))
    assert {each.names: each.used for each in found} == {
        (name,): YOUNG,
        (TASK,): OLD,
        (PACKAGES,): YOUNG,
        (BASE,): YOUNG,
    }


def test_a_superseded_image_goes_and_the_one_that_has_its_name_stays(
    store: FakeImageStore, tmp_path: Path
) -> None:
    before, base = image_id(store, PACKAGES), image_id(store, BASE)
    labelled = packages_label({"numpy==2.1.1": 60})
    store.make(PACKAGES, on=base, size=60, labels=labelled, made=YOUNG)
    # The task image still stands on the one that has lost its name, and goes with it.
    assert old(store) == {TASK: 56}
    removed(store, tmp_path, old_images(store.list_images(), now=NOW, keep=KEEP))
    assert before not in store.images
    assert image_id(store, PACKAGES)


def test_bytes_that_another_image_has_are_not_free(store: FakeImageStore) -> None:
    base = image_id(store, BASE)
    layer = store.images[image_id(store, PACKAGES)].layers[-2]
    same = store.make(on=base, size=50, layer=layer, made=OLD)
    # Once with those that go, or not at all.
    assert sum(old(store).values()) == 66
    store.make("science/model:latest", on=same, made=OLD)
    assert old(store) == {TASK: 1, PACKAGES: 5}


def test_images_without_a_name_go_that_builds_have_finished_or_begun(
    store: FakeImageStore, tmp_path: Path
) -> None:
    superseded = image_id(store, TASK)
    store.make(TASK, on=image_id(store, PACKAGES), labels=SPECIFIED, made=YOUNG)
    begun = store.make(on=image_id(store, BASE), size=30, made=OLD)
    store.make(on=image_id(store, "python:3.11"), size=8, made=OLD)
    assert old(store) == {begun: 30, superseded: 1}
    removed(store, tmp_path, old_images(store.list_images(), now=NOW, keep=KEEP))
    assert not {begun, superseded} & set(store.images)


def test_images_that_a_build_may_be_using_are_kept_whatever_the_limit(
    store: FakeImageStore,
) -> None:
    hours = NOW - timedelta(hours=23)
    store.make(on=image_id(store, BASE), size=30, made=hours)
    assert list(old(store, timedelta(0))) == [TASK, PACKAGES]


def forests() -> st.SearchStrategy[FakeImageStore]:
    """Engines with images of ours and of others, on one another in any way."""
    names = st.sampled_from(
        [(), (), (BASE,), (PACKAGES,), (TASK,), ("python:3.11",), (TASK, "x:1")]
    )
    labels = st.sampled_from([{}, packages_label({"six==1.17.0": 1}), SPECIFIED])
    # The size of a layer is that of its name.
    layers = st.sampled_from(["", "a", "bb", "ccc"])
    image = st.tuples(names, labels, layers, st.sampled_from([OLD, YOUNG]), st.booleans())

    def grown(images: list[tuple[Any, int]]) -> FakeImageStore:
        store, ids = FakeImageStore(), [""]
        for (named, labelled, layer, made, used), place in images:
            on = ids[place % len(ids)]
            if on:
                # Nothing is older than what it was made on.
                made = max(made, store.images[on].made)
            ids.append(
                store.make(
                    *named,
                    on=on,
                    size=len(layer),
                    layer=layer,
                    labels=labelled,
                    made=made,
                    in_use=used,
                )
            )
        return store

    return st.lists(st.tuples(image, st.integers(0, 99)), max_size=12).map(grown)


@given(store=forests())
def test_nothing_that_is_needed_goes_and_the_bytes_are_those_that_were_said(
    store: FakeImageStore, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, size = dict(store.images), total(store)
    what = old_images(store.list_images(), now=NOW, keep=KEEP)
    assert removed(store, tmp_path_factory.getbasetemp() / "cache", what) == what
    assert size - total(store) == sum(each.size_bytes for each in what)
    gone = [image for key, image in before.items() if key not in store.images]
    assert not any(image.in_use or image.made == YOUNG for image in gone)
    assert not any(name in ("python:3.11", "x:1") for image in gone for name in image.names)


# -- files ----------------------------------------------------------------------------------------


def write(path: Path, size: int, used: datetime = OLD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    os.utime(path, (used.timestamp(),) * 2)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder with something of each kind, 40 days old."""
    cache = tmp_path / "cache"
    with using(cache):
        pass
    write(cache / "package-archives" / "numpy-0123.tar", 50)
    write(cache / "byte-code" / "0123", 3)
    for folder in ("wheels/covalent-sdk-0.240-3.11", "uv", "covalent-lambda-build-x"):
        write(cache / folder / "deep" / "file", 20)
        os.utime(cache / folder, (OLD.timestamp(),) * 2)
    return cache


def test_files_go_by_their_last_use(cache: Path) -> None:
    young = write(cache / "package-archives" / "six-0123.tar", 5, YOUNG)
    kept = [
        write(cache / "locks" / "0123.lock", 0),
        write(cache / "roots" / "0123.json", 9),
        write(cache / "notes.txt", 9),
    ]
    found = old_files(cache, now=NOW, keep=KEEP)
    assert {(each.kind, each.size_bytes) for each in found} == {
        ("package archive", 50),
        ("byte code", 3),
        ("wheels", 20),
        ("unfinished build", 20),
    }
    assert len(found) == 5
    assert len(removed(FakeImageStore(), cache, found)) == 5
    assert all(path.exists() for path in (young, *kept))
    assert old_files(cache, now=NOW, keep=KEEP) == []
    assert [each.kind for each in old_files(cache, now=NOW, keep=timedelta(0))] == [
        "package archive"
    ]


def test_files_that_a_build_may_have_made_are_kept_whatever_the_limit(cache: Path) -> None:
    write(cache / "package-archives" / "numpy-0123.tar", 50, NOW - timedelta(hours=23))
    assert "package archive" not in {
        each.kind for each in old_files(cache, now=NOW, keep=timedelta(0))
    }


def test_a_machine_without_builds_has_left_nothing(tmp_path: Path) -> None:
    assert old_files(tmp_path / "nowhere", now=NOW, keep=KEEP) == []


def test_folders_that_no_build_has_used_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "wheels" / "mine-1.0-py3-none-any.whl", 50)
    write(tmp_path / "CACHEDIR.TAG", 50)
    assert old_files(tmp_path, now=NOW, keep=KEEP) == []


# -- beside others --------------------------------------------------------------------------------


def in_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_nothing_is_removed_while_a_build_runs(cache: Path) -> None:
    what = old_files(cache, now=NOW, keep=KEEP)
    said: list[str] = []
    waits = threading.Event()

    def tell(word: str) -> None:
        said.append(word)
        waits.set()

    with using(cache), using(cache):
        work = in_thread(lambda: remove(what, cache, FakeImageStore(), lambda: what, tell))
        assert waits.wait(10)
        assert said == ["Waiting for builds to end"]
        assert (cache / "uv").exists()
    work.join(10)
    assert said[1:] == ["Removing 5 leftovers of builds"]
    assert not (cache / "uv").exists()


def test_a_build_that_begins_meanwhile_waits(cache: Path) -> None:
    began = threading.Event()

    def build() -> None:
        with using(cache):
            began.set()

    with emptying(cache, lambda: None):
        work = in_thread(build)
        assert not began.wait(0.2)
    work.join(10)
    assert began.is_set()


def test_files_used_in_the_meantime_are_kept(cache: Path, store: FakeImageStore) -> None:
    what = old_files(cache, now=NOW, keep=KEEP)
    os.utime(cache / "uv")

    def look_again() -> list[Leftover]:
        return old_files(cache, now=NOW, keep=KEEP)

    assert len(remove(what, cache, store, look_again, lambda _: None)) == 4
    assert (cache / "uv").exists()


def test_an_image_that_the_engine_refuses_to_remove_is_not_listed(
    store: FakeImageStore, tmp_path: Path
) -> None:
    what = old_images(store.list_images(), now=NOW, keep=KEEP)
    task = image_id(store, TASK)
    store.images[task] = replace(store.images[task], in_use=True)
    assert [each.names[0] for each in removed(store, tmp_path, what)] == [PACKAGES, BASE]
    assert task in store.images


def test_a_folder_that_cannot_be_emptied_is_named(tmp_path: Path) -> None:
    blocked = write(tmp_path / "file", 1)
    with pytest.raises(ConfigurationError, match=r"cannot be removed(.|\n)*cache_dir"):
        removed(FakeImageStore(), blocked / "cache", [])
