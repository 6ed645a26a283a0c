"""Credentials that follow their source: renewed before they end, and read again when refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

from covalent_lambda_container.adapters.aws.credential_source import CredentialSource

_KEPT_S: Final = 60.0
_KEPT_AT_THE_END_S: Final = 5.0
"""How long credentials are used that were renewed and are about to expire all the same, because
their source has no newer ones yet. In their last two minutes, the source is asked more often."""

_END_S: Final = 120

_NOT_READ_AGAIN_S: Final = 5.0
"""How long refused credentials count as the newest after they were read again: thousands of tasks
may be refused at once."""


class _Delegating(Credentials):
    """Credentials whose parts are those of `get_frozen_credentials`."""

    @property
    def access_key(self) -> Any:  # type: ignore[override]
        return self.get_frozen_credentials().access_key

    @property
    def secret_key(self) -> Any:  # type: ignore[override]
        return self.get_frozen_credentials().secret_key

    @property
    def token(self) -> Any:  # type: ignore[override]
        return self.get_frozen_credentials().token

    @property
    def account_id(self) -> Any:
        return self.get_frozen_credentials().account_id


class SharedRenewals(_Delegating):
    """Credentials whose renewals are few, however many requests are signed meanwhile.

    From ten minutes before their end, botocore renews credentials with every request that it signs,
    one after the other, until their source has newer ones. The source may be a program that takes
    seconds, or a service that refuses so many requests.

    Parameters
    ----------
    renewed
        botocore's credentials.
    now
        Clock, for tests.
    """

    def __init__(
        self, renewed: RefreshableCredentials, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._renewed = renewed
        self._source = CredentialSource(renewed.get_frozen_credentials)
        self._now = now
        self._lock = threading.Lock()
        self._kept: tuple[float, ReadOnlyCredentials] | None = None
        self.method = renewed.method

    @property
    def are_due(self) -> bool:
        """Whether the next use renews them."""
        return self._still_kept is None and bool(self._renewed.refresh_needed())

    @property
    def _still_kept(self) -> ReadOnlyCredentials | None:
        kept = self._kept
        return kept[1] if kept and self._now() < kept[0] else None

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return them, renewed if they are due."""
        if not self.are_due:
            return self._still_kept or self._renewed.get_frozen_credentials()
        with self._lock:
            kept = self._still_kept
            if kept is None:
                kept = self._source.get()
                at_the_end = self._renewed.refresh_needed(_END_S)
                self._kept = self._now() + (_KEPT_AT_THE_END_S if at_the_end else _KEPT_S), kept
            return kept


class CurrentCredentials(_Delegating):
    """Credentials that are replaced, for all clients that have them, when AWS refuses them.

    botocore reads a file of credentials once for each session, and clients keep what was read:
    without this, a key that was rotated is not found until the process is restarted.

    Parameters
    ----------
    found
        botocore's credentials.
    read_again
        Reads their source again; returns them and their parts, or None if it has none.
    now
        Clock, for tests.
    """

    def __init__(
        self,
        found: Credentials,
        read_again: Callable[[], tuple[Credentials, ReadOnlyCredentials] | None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._current = _renewed_once(found)
        self._read_again = read_again
        self._now = now
        self._lock = threading.Lock()
        self._next_reading = float("-inf")
        self._given: ReadOnlyCredentials | None = None
        self.method = found.method
        self.generation = 0
        """The number of replacements. Read before a use, it identifies the credentials used."""
        self.were_accepted = False
        """Whether AWS has ever accepted them. If it refuses them later, somebody is replacing them:
        new ones may be found soon, or not be known everywhere yet."""

    @property
    def are_due(self) -> bool:
        """Whether the next use renews them."""
        return isinstance(self._current, SharedRenewals) and self._current.are_due

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """Return them, renewed if they are due."""
        given = self._given = self._current.get_frozen_credentials()
        return given

    def replace_refused(self, generation: int) -> bool:
        """Read the credentials again after AWS has refused those of a generation.

        Returns
        -------
        bool
            Whether there are others now.
        """
        with self._lock:
            if self.generation != generation:
                return True
            if self._now() < self._next_reading:
                return False
            # Asks no source itself: one may hang, and others wait here.
            found, parts = self._read_again() or (None, None)
            differ = found is not None and parts != self._given
            self._next_reading = self._now() + _NOT_READ_AGAIN_S
            if found is not None and differ:
                # Before the number: who reads the new one has the new credentials.
                self._current = _renewed_once(found)
                self.generation += 1
            return differ


def _renewed_once(found: Credentials) -> Credentials:
    return SharedRenewals(found) if isinstance(found, RefreshableCredentials) else found
