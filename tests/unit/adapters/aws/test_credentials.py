"""Temporary credentials are renewed when they are due, and kept if nothing newer came."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

from covalent_lambda_container.adapters.aws.credentials import CurrentCredentials, SharedRenewals
from tests.fakes import FakeClock


class Source:
    """Of credentials that end after so many minutes from now."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self.asked = 0

    def __call__(self) -> dict[str, str]:
        self.asked += 1
        ends = datetime.now(timezone.utc) + timedelta(minutes=self.minutes)
        named = {"access_key": f"AKI{self.asked}", "secret_key": "secret", "token": "token"}
        return named | {"expiry_time": ends.isoformat()}

    def credentials(self, clock: FakeClock) -> SharedRenewals:
        made = RefreshableCredentials.create_from_metadata(self(), self, "test")
        self.asked = 0
        return SharedRenewals(made, clock.now)


def test_credentials_that_last_are_not_renewed(clock: FakeClock) -> None:
    source = Source(60)
    credentials = source.credentials(clock)
    assert not credentials.are_due
    assert (credentials.access_key, credentials.secret_key) == ("AKI1", "secret")
    assert (credentials.token, credentials.account_id) == ("token", None)
    assert source.asked == 0


def test_new_credentials_are_used_at_once_and_for_as_long_as_they_last(clock: FakeClock) -> None:
    source = Source(8)
    credentials = source.credentials(clock)
    assert credentials.are_due
    source.minutes = 60
    for _ in range(3):
        clock.sleep(100)
        assert credentials.get_frozen_credentials().access_key == "AKI1"
        assert not credentials.are_due
    assert source.asked == 1


def test_the_source_is_asked_once_a_minute_until_it_has_newer_ones(clock: FakeClock) -> None:
    source = Source(8)
    credentials = source.credentials(clock)
    for second in range(181):
        assert credentials.access_key == f"AKI{second // 60 + 1}"
        clock.sleep(1)
    assert source.asked == 4


def test_in_the_last_minutes_it_is_asked_more_often(clock: FakeClock) -> None:
    source = Source(1.5)
    credentials = source.credentials(clock)
    for _ in range(20):
        assert credentials.access_key
        clock.sleep(1)
    assert source.asked == 4


def test_refused_credentials_are_compared_without_asking_their_source() -> None:
    class Hanging(Credentials):
        asked = 0

        def get_frozen_credentials(self) -> ReadOnlyCredentials:
            self.asked += 1
            return ReadOnlyCredentials(self.access_key, self.secret_key, None)

    old, new = Hanging("AKIOLD", "secret"), Hanging("AKINEW", "secret")
    found = iter([(old, ReadOnlyCredentials("AKIOLD", "secret", None)), None])
    clock = FakeClock()
    current = CurrentCredentials(old, lambda: next(found), clock.now)
    current.get_frozen_credentials()
    assert not current.replace_refused(0)
    clock.sleep(10)
    assert not current.replace_refused(0)
    clock.sleep(10)
    found = iter([(new, ReadOnlyCredentials("AKINEW", "secret", None))])
    assert current.replace_refused(0)
    assert (old.asked, new.asked) == (1, 0)
    assert current.get_frozen_credentials().access_key == "AKINEW"
