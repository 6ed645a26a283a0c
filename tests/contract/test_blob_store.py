"""The contract of every BlobStore."""

from __future__ import annotations

import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.stores import BlobStore
from tests.contract.conftest import AWS_SIDES, real_side
from tests.fakes import FakeBlobStore


@pytest.fixture(params=AWS_SIDES)
def store(request: pytest.FixtureRequest) -> Iterator[BlobStore]:
    if request.param != "fake":
        side = real_side(request)
        yield S3Bucket(side.clients, side.bucket)
    else:
        with FakeBlobStore() as fake:
            yield fake


@pytest.fixture
def signatures_are_checked(request: pytest.FixtureRequest) -> None:
    if request.node.callspec.params["store"] == "moto":
        pytest.skip("moto checks no signatures")


@pytest.fixture
def key(store: BlobStore) -> Iterator[str]:
    name = f"contract tests/ä+{uuid.uuid4().hex}"
    yield name
    store.delete([name])


def content(store: BlobStore, key: str) -> bytes | None:
    return store.read(key, lambda stream: stream.read(1_000_000))


def http(method: str, url: str, body: bytes | None = None) -> tuple[int, bytes]:
    headers = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(url, data=body, headers=headers, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code, refusal.read()


@pytest.mark.parametrize("body", [b"", b"\x00\xff" * 10])
def test_an_object_that_was_put_can_be_read(store: BlobStore, key: str, body: bytes) -> None:
    store.put(key, body)
    assert content(store, key) == body


def test_a_second_put_replaces_the_first(store: BlobStore, key: str) -> None:
    store.put(key, b"first")
    store.put(key, b"second")
    assert content(store, key) == b"second"


def test_an_absent_object_is_none(store: BlobStore, key: str) -> None:
    assert content(store, key) is None


def test_deleted_objects_are_gone_and_absent_ones_do_not_matter(store: BlobStore, key: str) -> None:
    store.put(key, b"body")
    store.delete([key, f"{key}-never-there"])
    store.delete([key])
    assert content(store, key) is None


def test_an_object_may_be_given_in_pieces(store: BlobStore, key: str) -> None:
    store.put(key, (piece for piece in [b"one", b"", b"two"]))
    assert content(store, key) == b"onetwo"


def test_an_object_is_read_piece_by_piece(store: BlobStore, key: str) -> None:
    store.put(key, b"onetwo")
    assert store.read(key, lambda stream: [stream.read(3) for _ in range(3)]) == [
        *(b"one", b"two", b"")
    ]


@pytest.mark.parametrize(("limit", "seen"), [(1, b"o"), (5, b"onetw"), (7, b"onetwo")])
def test_only_the_beginning_of_an_object_is_read(
    store: BlobStore, key: str, limit: int, seen: bytes
) -> None:
    store.put(key, b"onetwo")
    assert store.read(key, lambda stream: stream.read(1_000_000), limit=limit) == seen
    assert store.read(f"{key}-never-there", lambda stream: stream.read(1), limit=limit) is None


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_large_object_is_read_in_order(store: BlobStore, key: str, more: int) -> None:
    # Each place has bytes of its own; the sizes are around the edge of a part.
    body = b"".join(number.to_bytes(4, "big") for number in range(10 * 1024 * 1024))
    body = body[: 40 * 1024 * 1024 + more]
    store.put(key, (body[start : start + 5_000_000] for start in range(0, len(body), 5_000_000)))
    assert store.read(key, lambda stream: b"".join(iter(lambda: stream.read(999_999), b""))) == body


def test_an_object_that_stays_incomplete_is_an_error(store: BlobStore, key: str) -> None:
    def parse(stream: Any) -> None:
        raise ValueError("ends 7 bytes too early")

    store.put(key, b"body")
    with pytest.raises(InvocationError, match="ends 7 bytes too early"):
        store.read(key, parse)
    assert store.read(f"{key}-never-there", parse) is None


def test_a_read_url_reads(store: BlobStore, key: str) -> None:
    store.put(key, b"body")
    assert http("GET", store.read_url(key, valid_s=60)) == (200, b"body")


def test_a_read_url_of_an_absent_object_answers_404(store: BlobStore, key: str) -> None:
    status, _ = http("GET", store.read_url(key, valid_s=60))
    assert status == 404


def test_a_write_url_writes(store: BlobStore, key: str) -> None:
    status, _ = http("PUT", store.write_url(key, valid_s=60), b"body")
    assert status == 200
    assert content(store, key) == b"body"


@pytest.mark.usefixtures("signatures_are_checked")
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_url_serves_its_own_purpose_only(store: BlobStore, key: str, method: str) -> None:
    store.put(key, b"body")
    make: Any = store.write_url if method == "GET" else store.read_url
    status, _ = http(method, make(key, valid_s=60), b"other" if method == "PUT" else None)
    assert status == 403
    assert content(store, key) == b"body"


@pytest.mark.usefixtures("signatures_are_checked")
def test_a_url_serves_its_own_object_only(store: BlobStore, key: str) -> None:
    status, _ = http("GET", store.read_url(f"{key}-other", valid_s=60).replace("-other", ""))
    assert status == 403
