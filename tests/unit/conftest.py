"""Unit tests see nothing of the machine they run on: no account, no proxy, no step log."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import settings

from covalent_lambda_container.executor import wiring
from tests.fakes import FakeBlobStore, FakeClock
from tests.fakes.account_server import ROLE, Account
from tests.fakes.aws_server import FakeAwsServer

_FROM_OUTSIDE = re.compile(
    r"AWS_.*|REQUESTS_.*|(HTTPS?|ALL|NO)_PROXY|(PIP|UV)_.*|SSL_.*|DOCKER_HOST"
    r"|COVALENT_LAMBDA_STEP_LOG",
    re.IGNORECASE,
)

# Fewer examples than usual, since the suite is run often, and no deadline, since machines are busy.
settings.register_profile("unit", max_examples=40, deadline=None)
settings.load_profile("unit")


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in filter(_FROM_OUTSIDE.fullmatch, list(os.environ)):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("NETRC", os.devnull)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def blobs() -> Iterator[FakeBlobStore]:
    with FakeBlobStore() as store:
        yield store


@pytest.fixture
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def secured(authority: trustme.CA) -> Iterator[FakeAwsServer]:
    """AWS behind a certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with FakeAwsServer(context) as server:
        yield server


# boto3 takes a tenth of a second for a client: they serve all tests here.
@pytest.fixture(scope="session")
def credentials_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("aws") / "credentials"
    path.write_text("[default]\naws_access_key_id=AKI\naws_secret_access_key=secret\n")
    return str(path)


@pytest.fixture(scope="session")
def account_endpoint() -> Iterator[FakeAwsServer]:
    with FakeAwsServer() as server:
        yield server


@pytest.fixture
def account(account_endpoint: FakeAwsServer) -> Account:
    """An account at the endpoint that an executor with `given` uses."""
    account = Account()
    wiring.clear()
    account_endpoint.answer = account.handle
    return account


@pytest.fixture
def given(account_endpoint: FakeAwsServer, credentials_file: str, tmp_path: Path) -> dict[str, Any]:
    """Options that lead to the account."""
    return {
        "credentials_file": credentials_file,
        "region": "eu-central-1",
        "endpoint_url": account_endpoint.url,
        "lambda_role_name": ROLE,
        "cache_dir": str(tmp_path / "cache"),
    }
