"""Credentials that AWS accepted before and refuses now: somebody is replacing them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.credentials import Credentials, ReadOnlyCredentials
from botocore.exceptions import ClientError

from covalent_lambda_container.adapters.aws.credentials import CurrentCredentials
from covalent_lambda_container.adapters.aws.refused_requests import repeat_refused_requests
from tests.fakes import FakeClock
from tests.fakes.aws_server import Answer, FakeAwsServer, Request


class Account:
    """An account with one key, and a file that has the key of its user.

    Attributes
    ----------
    refused
        How many requests were refused.
    """

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._rotated = False
        self._key_known_at = self._written_at = float("inf")
        self.refused = 0

    def rotate(self, *, known_in_s: float, written_in_s: float) -> None:
        """Make the old key unknown, and the new one known and written later."""
        self._rotated = True
        self._key_known_at = self._clock.now() + known_in_s
        self._written_at = self._clock.now() + written_in_s

    def read(self) -> Credentials:
        return Credentials("NEW" if self._clock.now() >= self._written_at else "OLD", "secret")

    def __call__(self, request: Request) -> Answer:
        key = "NEW" if self._clock.now() >= self._key_known_at else "OLD"
        used = request.headers["Authorization"].partition("Credential=")[2].partition("/")[0]
        if used == key and (key == "NEW" or not self._rotated):
            return 200, {}, b"{}"
        self.refused += 1
        code = "UnrecognizedClientException"
        said = {"__type": code, "message": "The security token is invalid."}
        return 400, {"x-amzn-errortype": code}, json.dumps(said).encode()


@pytest.fixture
def account(clock: FakeClock) -> Account:
    return Account(clock)


@pytest.fixture
def client(account: Account, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("time.sleep", clock.sleep)
    session = botocore.session.Session()

    def read_again() -> tuple[Credentials, ReadOnlyCredentials]:
        found = account.read()
        return found, found.get_frozen_credentials()

    credentials = CurrentCredentials(account.read(), read_again, clock.now)
    vars(session)["_credentials"] = credentials
    repeat_refused_requests(session, credentials, clock.now)
    with FakeAwsServer() as server:
        server.answer = account
        yield session.create_client("ecr", "eu-west-1", endpoint_url=server.url)


@pytest.mark.parametrize(("known_in_s", "written_in_s"), [(0, 0), (0, 12), (12, 0), (12, 20)])
def test_a_key_that_is_being_replaced_is_waited_for(
    account: Account, client: Any, clock: FakeClock, known_in_s: float, written_in_s: float
) -> None:
    client.describe_repositories()
    account.rotate(known_in_s=known_in_s, written_in_s=written_in_s)
    client.describe_repositories()
    assert clock.now() <= max(known_in_s, written_in_s) + 6


def test_a_key_that_is_not_replaced_is_given_up(
    account: Account, client: Any, clock: FakeClock
) -> None:
    client.describe_repositories()
    account.rotate(known_in_s=10_000, written_in_s=10_000)
    with pytest.raises(ClientError, match="Unrecognized"):
        client.describe_repositories()
    assert 30 <= clock.now() < 32
    assert account.refused == 31


def test_a_key_that_never_was_right_is_refused_at_once(
    account: Account, client: Any, clock: FakeClock
) -> None:
    account.rotate(known_in_s=10, written_in_s=10)
    with pytest.raises(ClientError, match="Unrecognized"):
        client.describe_repositories()
    assert clock.now() == 0
    assert account.refused == 1
