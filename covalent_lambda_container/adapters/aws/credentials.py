"""Temporary credentials, renewed once for all who need them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from botocore.credentials import Credentials, ReadOnlyCredentials, RefreshableCredentials

_KEPT_S: Final = 60.0
_KEPT_AT_THE_END_S: Final = 5.0
"""How long credentials are used that were renewed and are about to expire all the same, because
their source has no newer ones yet. In their last two minutes, the source is asked more often."""

_END_S: Final = 120


class SharedRenewals(Credentials):
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
                kept = self._renewed.get_frozen_credentials()
                at_the_end = self._renewed.refresh_needed(_END_S)
                self._kept = self._now() + (_KEPT_AT_THE_END_S if at_the_end else _KEPT_S), kept
            return kept

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
