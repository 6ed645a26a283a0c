"""Unit tests see nothing of the machine they run on: no account, no proxy, no journal."""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator

import pytest
import trustme
from hypothesis import settings

from tests.fakes import FakeBlobStore, FakeClock
from tests.fakes.aws_server import FakeAwsServer

# Half of the usual number: the suite is run often.
settings.register_profile("unit", max_examples=50)
settings.load_profile("unit")

_FROM_OUTSIDE = re.compile(
    r"AWS_.*|REQUESTS_.*|(HTTPS?|ALL|NO)_PROXY|(PIP|UV)_.*|SSL_.*|DOCKER_HOST"
    r"|COVALENT_LAMBDA_JOURNAL",
    re.IGNORECASE,
)

# A busy machine is no reason to fail.
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
