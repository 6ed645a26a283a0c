"""A repository in registries that differ, fail, and hand on to others."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
import trustme

from covalent_lambda_container.adapters.registry.references import parse
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.registry_server import FakeRegistryServer, Fault, Stored

BLOB = b"blob" * 1000
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"


@pytest.fixture
def server() -> Iterator[FakeRegistryServer]:
    with FakeRegistryServer() as running:
        running.repositories["tasks"] = Stored()
        yield running


@pytest.fixture
def waits() -> list[float]:
    return []


def repository_of(server: FakeRegistryServer, waits: list[float], **given: Any) -> Repository:
    login = RegistryLogin(username="AWS", password=server.password)
    reference = parse(f"{server.endpoint}/tasks:any")
    return Repository(reference, lambda: login, sleep=waits.append, **given)


def test_a_registry_that_has_answered_before_is_waited_for_longer(
    server: FakeRegistryServer, waits: list[float]
) -> None:
    known, new = (repository_of(server, waits) for _ in range(2))
    assert not known.has_blob("sha256:0")
    # It closes every connection without an answer.
    server.faults.append(Fault("HEAD", "blobs", times=99))
    for repository, waited in ((known, [0.5, 2, 5, 15]), (new, [0.5, 2])):
        waits.clear()
        with pytest.raises(RegistryError, match="could not look for blob"):
            repository.has_blob("sha256:0")
        assert waits == waited


@pytest.mark.parametrize(
    "location",
    [
        "/v2/{name}/blobs/uploads/{key}",
        "{url}/v2/{name}/blobs/uploads/{key}",
        "/storage/v2/{name}/blobs/uploads/{key}",
        "{url}/storage/v2/{name}/blobs/uploads/{key}?state=a%2Fb%3D&n=1",
        # Relative to the address of the request.
        "../uploads/{key}",
    ],
    ids=["path", "address", "other-path", "query", "relative"],
)
def test_an_upload_goes_where_the_registry_says(
    server: FakeRegistryServer, waits: list[float], location: str
) -> None:
    server.location = location
    repository_of(server, waits).upload(DIGEST, len(BLOB), lambda: [BLOB])
    assert server.repositories["tasks"].blobs == {DIGEST: BLOB}
    assert waits == []


def test_an_upload_that_goes_nowhere_is_an_error_that_says_so(
    server: FakeRegistryServer, waits: list[float]
) -> None:
    server.location = ""
    with pytest.raises(RegistryError, match="began an upload without saying where"):
        repository_of(server, waits).upload(DIGEST, len(BLOB), lambda: [BLOB])


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
@pytest.mark.parametrize("code", ["RANGE_INVALID", "BLOB_UPLOAD_INVALID", ""])
def test_an_upload_that_the_registry_knows_otherwise_starts_again(
    server: FakeRegistryServer, waits: list[float], method: str, code: str
) -> None:
    server.faults.append(Fault(method, "blobs/uploads", status=416, code=code))
    repository_of(server, waits).upload(DIGEST, len(BLOB), lambda: [BLOB])
    assert server.repositories["tasks"].blobs == {DIGEST: BLOB}
    assert [each for each in server.requests if each[0] == "POST"][1:]


@pytest.mark.parametrize(
    ("asked", "least", "most"),
    [
        (lambda: "7", 7, 7),
        (lambda: "100000", 60, 60),
        (lambda: format_datetime(datetime.now(timezone.utc) + timedelta(seconds=30), True), 25, 31),
        (lambda: "Fri, 27 Nov 2020 08:00:00 GMT", 0.5, 2),
        (lambda: "soon", 0.5, 2),
        (lambda: "-3", 0.5, 2),
    ],
    ids=["seconds", "too-long", "date", "past", "words", "negative"],
)
def test_a_registry_is_left_alone_for_as_long_as_it_asks(
    server: FakeRegistryServer,
    waits: list[float],
    asked: Callable[[], str],
    least: float,
    most: float,
) -> None:
    headers = {"Retry-After": asked()}
    server.faults.append(Fault("HEAD", "blobs", status=429, headers=headers))
    assert not repository_of(server, waits).has_blob(DIGEST)
    # A connection that the server closes may cost another attempt.
    assert least <= max(waits) <= most


def test_another_host_that_has_the_blobs_gets_no_credentials(
    server: FakeRegistryServer, waits: list[float]
) -> None:
    server.repositories["tasks"].blobs[DIGEST] = BLOB
    with FakeRegistryServer() as storage:
        storage.is_open, storage.repositories = True, server.repositories
        # Another name of this machine, and so another host.
        server.blobs_at = storage.url.replace("127.0.0.1", "localhost")
        assert b"".join(repository_of(server, waits).read_blob(DIGEST)) == BLOB
        assert storage.authorizations == [None]
    assert server.authorizations[-1] is not None


def test_another_host_that_takes_an_upload_gets_no_credentials(
    server: FakeRegistryServer, waits: list[float]
) -> None:
    with FakeRegistryServer() as storage:
        storage.is_open = True
        held = storage.repositories["tasks"] = server.repositories["tasks"]
        storage.location = server.location = f"{storage.url}/v2/{{name}}/blobs/uploads/{{key}}"
        repository_of(server, waits).upload(DIGEST, len(BLOB), lambda: [BLOB])
        assert held.blobs == {DIGEST: BLOB}
        assert storage.authorizations == [None, None]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "token", status=503, times=2),
        Fault("GET", "token", status=429, headers={"Retry-After": "7"}),
        Fault("GET", "token", times=2),
    ],
    ids=["503", "429", "closed"],
)
def test_a_token_service_that_fails_for_a_while_is_asked_again(
    server: FakeRegistryServer, waits: list[float], fault: Fault
) -> None:
    server.token = "a-token"
    server.faults.append(fault)
    repository_of(server, waits).upload(DIGEST, len(BLOB), lambda: [BLOB])
    assert server.repositories["tasks"].blobs == {DIGEST: BLOB}
    assert waits
    assert max(waits) >= float(fault.headers.get("Retry-After", 0))


@pytest.mark.parametrize("status", [500, 401, 403])
def test_a_token_service_that_stays_down_is_named_without_a_password(
    server: FakeRegistryServer, waits: list[float], status: int
) -> None:
    server.token = "a-token"
    server.faults.append(Fault("GET", "token", status=status, code="DOWN", times=99))
    with pytest.raises(RegistryError, match=rf"{status}(.|\n)*DOWN") as caught:
        repository_of(server, waits).has_blob(DIGEST)
    assert server.password not in str(caught.value)
    assert bool(waits) is (status == 500)


@pytest.mark.parametrize("token", ["", "a-token"], ids=["basic", "token-service"])
def test_a_registry_of_a_private_authority_is_trusted_by_its_certificates(
    waits: list[float], tmp_path: Path, token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    file = tmp_path / "authorities.pem"
    authority.cert_pem.write_to_path(file)
    # That of the environment is another one.
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with FakeRegistryServer(context) as server:
        server.token = token
        server.repositories["tasks"] = Stored(blobs={DIGEST: BLOB})
        with pytest.raises(RegistryError, match=r"certificate verify failed(.|\n)*ca_bundle"):
            repository_of(server, waits, url=server.url).has_blob(DIGEST)
        assert waits == []
        trusting = repository_of(server, waits, url=server.url, certificates=str(file))
        assert b"".join(trusting.read_blob(DIGEST)) == BLOB


def test_a_repository_that_is_removed_during_an_upload_is_an_error(
    server: FakeRegistryServer, waits: list[float]
) -> None:
    def read() -> Iterator[bytes]:
        server.repositories.clear()
        yield BLOB

    with pytest.raises(RegistryError, match="NAME_UNKNOWN"):
        repository_of(server, waits).upload(DIGEST, len(BLOB), read)


def test_a_small_blob_that_is_large_is_refused(
    server: FakeRegistryServer, waits: list[float]
) -> None:
    server.repositories["tasks"].blobs[DIGEST] = BLOB
    repository = repository_of(server, waits)
    assert repository.small_blob(DIGEST, len(BLOB)) == BLOB
    with pytest.raises(RegistryError, match=r"more than 3,999 bytes"):
        repository.small_blob(DIGEST, len(BLOB) - 1)
