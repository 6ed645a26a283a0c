"""Connections to an engine: TLS, and the errors when none answers."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
import trustme

from covalent_lambda_container.adapters.docker.address import EngineAddress
from covalent_lambda_container.adapters.docker.connection import EngineConnection
from covalent_lambda_container.errors import ImageBuildError
from tests.fakes.docker_api import FakeDockerApi

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <(ssl|socket):ResourceWarning")


def ping(address: EngineAddress) -> str:
    connection = EngineConnection(address)
    with connection.api("answer") as engine:
        version: str = engine.version()["ApiVersion"]
    connection.close()
    return version


@pytest.fixture
def certificates(tmp_path: Path) -> tuple[trustme.CA, Path]:
    """An engine's authority, and the folder that Docker's clients are given."""
    authority = trustme.CA()
    folder = tmp_path / "certificates"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    client = authority.issue_cert("me@example.com")
    client.private_key_pem.write_to_path(folder / "key.pem")
    client.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    return authority, folder


def server_context(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def test_the_engines_own_authority_counts_whatever_requests_trusts(
    certificates: tuple[trustme.CA, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority, folder = certificates
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(other)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with FakeDockerApi(server_context(authority)) as api:
        address = EngineAddress(
            host=f"tcp://{api.endpoint}",
            source="DOCKER_HOST",
            certificates=str(folder),
            verifies=True,
        )
        assert ping(address) == "1.41"


def test_an_engine_with_a_certificate_of_another_authority_is_not_trusted(
    certificates: tuple[trustme.CA, Path],
) -> None:
    _, folder = certificates
    with FakeDockerApi(server_context(trustme.CA())) as api:
        address = EngineAddress(
            host=f"tcp://{api.endpoint}",
            source="DOCKER_HOST",
            certificates=str(folder),
            verifies=True,
        )
        with pytest.raises(ImageBuildError, match=r"TLS connection .*DOCKER_CERT_PATH"):
            ping(address)


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        (
            "unix:///nowhere/docker.sock",
            r"answers at unix:///nowhere/docker.sock \(DOCKER_HOST\): No such file or directory\n",
        ),
        (
            "tcp://127.0.0.1:1",
            r"no engine answers at tcp://127.0.0.1:1 \(DOCKER_HOST\): Connection refused\n",
        ),
        ("ssh://me@127.0.0.1:1", r"pip install 'docker\[ssh\]'"),
    ],
)
def test_without_an_engine_the_hint_says_where_it_was_looked_for(host: str, hint: str) -> None:
    with pytest.raises(ImageBuildError, match=hint):
        ping(EngineAddress(host=host, source="DOCKER_HOST"))
