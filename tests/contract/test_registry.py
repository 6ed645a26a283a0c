"""The contract of every Registry."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.errors import UnusableImage
from covalent_lambda_container.ports.registry import Registry
from tests.contract.conftest import AWS_SIDES, real_side
from tests.fakes import FakeRegistry

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
INDEX = "application/vnd.oci.image.index.v1+json"

Accept = Callable[..., Any]


@pytest.fixture(params=AWS_SIDES)
def side(request: pytest.FixtureRequest) -> Iterator[tuple[Registry, Accept]]:
    """A registry whose repository does not exist yet, and a way to put a manifest into it."""
    if request.param == "fake":
        fake = FakeRegistry()
        yield fake, fake.accept
        return
    clients = real_side(request).clients
    name = f"contract-{uuid.uuid4().hex}"

    def put(tag: str, content: str, media_type: str = DOCKER) -> None:
        config = {"mediaType": "application/json", "size": 2, "digest": f"sha256:{'0' * 64}"}
        # What moto makes a digest of are the layers' digests.
        digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
        layer = {"mediaType": "application/gzip", "size": 2, "digest": digest}
        manifest = {"schemaVersion": 2, "mediaType": media_type, "config": config}
        clients.ecr.put_image(
            repositoryName=name,
            imageManifest=json.dumps(manifest | {"layers": [layer]}),
            imageManifestMediaType=media_type,
            imageTag=tag,
        )

    yield EcrRegistry(clients, name), put
    clients.ecr.delete_repository(repositoryName=name, force=True)


def test_there_is_nothing_in_a_repository_that_does_not_exist(
    side: tuple[Registry, Accept],
) -> None:
    registry, _ = side
    assert registry.find("tag") is None
    registry.ensure_repository()


def test_a_repository_is_created_once(side: tuple[Registry, Accept]) -> None:
    registry, _ = side
    assert registry.ensure_repository() == registry.ensure_repository()
    assert registry.find("tag") is None


def test_an_image_is_found_by_its_tag(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    uri = registry.ensure_repository()
    accept("tag", "content")
    found = registry.find("tag")
    assert found is not None
    assert found.repository_uri == uri
    assert found.uri.startswith(f"{uri}@sha256:")
    assert registry.find("other-tag") is None


def test_a_tag_does_not_move(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    registry.ensure_repository()
    accept("tag", "content")
    before = registry.find("tag")
    with pytest.raises(Exception, match=r"(?i)immutable|already exists"):
        accept("tag", "other content")
    assert registry.find("tag") == before


def test_a_later_revision_is_found_instead_of_the_first(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    registry.ensure_repository()
    assert registry.next_tag("tag") == "tag"
    accept("tag", "content")
    first = registry.find("tag")
    assert registry.next_tag("tag") == "tag-r1"
    accept("tag-r1", "newer content")
    accept("tag-r2", "newest content")
    assert registry.next_tag("tag") == "tag-r3"
    newest = registry.find("tag")
    assert newest == registry.find("tag-r2") != first
    accept("tag-r3", "content")
    assert registry.find("tag") == first, "a rebuild may make the same image again"


def test_a_tag_that_was_removed_is_absent_and_free(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    registry.ensure_repository()
    accept("tag", "content")
    registry.remove("tag")
    assert registry.find("tag") is None
    assert registry.next_tag("tag") == "tag"
    registry.remove("tag")


def test_equal_images_have_equal_digests_and_others_others(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    registry.ensure_repository()
    for tag, content in (("a", "one"), ("b", "one"), ("c", "two")):
        accept(tag, content)
    a, b, c = (registry.find(tag) for tag in "abc")
    assert a == b != c


def test_an_image_of_several_platforms_is_refused(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    registry.ensure_repository()
    accept("tag", "content", INDEX)
    with pytest.raises(UnusableImage, match=r"image\.index"):
        registry.find("tag")


def test_a_login_has_a_name_and_a_password_it_does_not_show(side: tuple[Registry, Accept]) -> None:
    registry, _ = side
    registry.ensure_repository()
    login = registry.login()
    assert login.username == "AWS"
    assert login.password
    assert login.password not in repr(login)


def test_all_images_are_listed_with_their_tags(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    assert registry.list_images() == []
    registry.ensure_repository()
    before = datetime.now(timezone.utc) - timedelta(minutes=1)
    accept("one", "first")
    accept("two", "second")
    one, two = sorted(registry.list_images(), key=lambda image: image.tags)
    assert (one.tags, two.tags) == (("one",), ("two",))
    found: Any = registry.find("one")
    assert one.digest == found.digest
    assert before < one.pushed <= datetime.now(timezone.utc)


def test_removed_images_are_gone_and_may_be_removed_again(side: tuple[Registry, Accept]) -> None:
    registry, accept = side
    registry.ensure_repository()
    accept("one", "first")
    accept("two", "second")
    found: Any = registry.find("one")
    for _ in range(2):
        registry.remove_images([found.digest])
        assert registry.find("one") is None
    assert [image.tags for image in registry.list_images()] == [("two",)]
