"""The contract of every ImageStore: unused images are removed, and their sizes reported.

The real one is an engine that others use, too: only the test's own images are seen.
"""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import docker
import pytest

from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.docker.image_store import DockerImageStore
from covalent_lambda_container.files.archives import files
from covalent_lambda_container.images.pruning import old_images, remove
from covalent_lambda_container.model.image_labels import BASE_REPOSITORY, PACKAGES_REPOSITORY
from covalent_lambda_container.ports.engine import ImageStore, StoredImage
from tests.contract.conftest import SIDES
from tests.fakes import FakeImageStore

MARK = "covalent-lambda-tests"
SIZE = 100_000
DOCKERS_OWN_STORE = os.environ.get("COVALENT_LAMBDA_ENGINE", "docker") == "docker"
"""Whether the engine counts bytes, and ties images to what they were made on. containerd's store
and podman count blocks of a disk or of an archive, and remove either without the other."""


def about(size: int) -> Any:
    """Return what equals a size, as exactly as the engine counts."""
    return size if DOCKERS_OWN_STORE else pytest.approx(size, rel=0.1)


Make = Callable[..., str]
Side = tuple[ImageStore, Make]


class OwnImages(DockerImageStore):
    """The engine as if there were the images of one test only."""

    def __init__(self, value: str) -> None:
        super().__init__()
        self._value = value

    def list_images(self) -> list[StoredImage]:
        return [image for image in super().list_images() if image.labels.get(MARK) == self._value]


def build(engine: DockerEngine, name: str, context: dict[str, bytes]) -> str:
    architecture = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    given: dict[str, Any] = {"architecture": architecture, "arguments": {}, "labels": {}}
    return engine.build(files(context), name, **given)


@pytest.fixture
def value() -> str:
    return uuid.uuid4().hex


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest, value: str) -> Iterator[Side]:
    """An engine, and a way to make an image in it, of `SIZE` bytes on another one."""
    if request.param == "fake":
        fake = FakeImageStore()
        yield fake, lambda name, on="": fake.make(*([name] if name else []), on=on, size=SIZE)
        return
    request.getfixturevalue("engine")
    store = OwnImages(value)

    def make(name: str, on: str = "") -> str:
        dockerfile = f"FROM {on or 'scratch'}\nLABEL {MARK}={value}\nCOPY file /{uuid.uuid4()}\n"
        context = {"Dockerfile": dockerfile.encode(), "file": b"x" * SIZE}
        return build(DockerEngine(), name, context)

    yield store, make
    with contextlib.closing(docker.from_env()) as client:
        while images := store.list_images():
            for image_id in {image.id for image in images} - {image.parent for image in images}:
                # podman removes with an image what it was made on.
                with contextlib.suppress(docker.errors.NotFound):
                    client.images.remove(image_id, force=True)


def found(store: ImageStore, image_id: str) -> StoredImage | None:
    return next((image for image in store.list_images() if image.id == image_id), None)


def test_an_image_is_listed_with_its_parent(side: Side, value: str) -> None:
    store, make = side
    name = f"{MARK}:{value}"
    below = make(name)
    image_id = make("", on=below)
    named, unnamed = found(store, below), found(store, image_id)
    assert named is not None
    assert unnamed is not None
    assert (named.names, unnamed.names) == ((name,), ())
    assert named.size == about(SIZE)
    assert unnamed.size - named.size == about(SIZE)
    assert unnamed.layers[:-1] == named.layers
    assert len(named.layers) == 1
    assert not named.in_use
    for image in (named, unnamed):
        assert abs(image.made - datetime.now(timezone.utc)) < timedelta(minutes=5)
    ids = {image.id: image.parent for image in store.list_images()}
    while image_id != below:
        image_id = ids[image_id]


def test_an_image_with_another_name_stays(side: Side, value: str) -> None:
    store, make = side
    image_id = make(f"{MARK}:{value}")
    other = make(f"{MARK}:{value}-2")
    assert store.remove_unused(f"{MARK}:{value}", other)
    assert found(store, image_id)
    assert store.remove_unused(f"{MARK}:{value}", image_id)
    assert [image.id for image in store.list_images() if image.names] == [other]
    assert store.remove_unused(f"{MARK}:{value}", image_id)


def test_an_image_without_a_name_stays_while_something_is_made_on_it(
    side: Side, value: str, request: pytest.FixtureRequest
) -> None:
    store, make = side
    below = make("")
    top = make(f"{MARK}:{value}", on=below)
    if request.node.callspec.params["side"] == "fake" or DOCKERS_OWN_STORE:
        assert not store.remove_unused(below, below)
        assert found(store, below)
    else:
        store.remove_unused(below, below)
        whole = found(store, top)
        assert whole is not None
        assert whole.size == about(2 * SIZE)
    # What has no name goes with the last that was made on it.
    assert store.remove_unused(f"{MARK}:{value}", top)
    if not DOCKERS_OWN_STORE:
        assert all(store.remove_unused(image.id, image.id) for image in store.list_images())
    assert store.list_images() == []


def test_old_images_are_removed_and_young_ones_keep_their_parents(
    side: Side, value: str, tmp_path: Path
) -> None:
    store, make = side
    base, packages = f"{BASE_REPOSITORY}:{value}", f"{PACKAGES_REPOSITORY}:{value}"
    base_id = make(base)
    make(packages, on=make("", on=base_id))

    def old(keep: timedelta) -> Any:
        later = datetime.now(timezone.utc) + timedelta(days=10)
        return old_images(store.list_images(), now=later, keep=keep)

    assert old(timedelta(days=11)) == []
    what = old(timedelta(days=9))
    assert [each.names for each in what] == [(packages,), (base,)]
    assert sum(each.size_bytes for each in what) == about(3 * SIZE)
    if DOCKERS_OWN_STORE:
        assert [each.size_bytes for each in what] == [2 * SIZE, SIZE]
    own = make(f"{MARK}:{value}", on=base_id)
    gone = remove(what, tmp_path, store, lambda: old(timedelta(days=9)), lambda _: None)
    assert [each.names for each in gone] == [(packages,)]
    assert {image.names for image in store.list_images() if image.names} == {
        (base,),
        (f"{MARK}:{value}",),
    }
    assert found(store, own)


@pytest.mark.docker
def test_an_image_of_a_container_stays(engine: None, value: str) -> None:
    store = OwnImages(value)
    name = f"{MARK}:{value}"
    dockerfile = f'FROM scratch\nLABEL {MARK}={value}\nCMD ["nothing"]\n'
    image_id = build(DockerEngine(), name, {"Dockerfile": dockerfile.encode()})
    with contextlib.closing(docker.from_env()) as client:
        container = client.containers.create(name)
        try:
            image = found(store, image_id)
            assert image is not None
            assert image.in_use
            assert not store.remove_unused(name, image_id)
            assert found(store, image_id)
        finally:
            container.remove()
            client.images.remove(name)
