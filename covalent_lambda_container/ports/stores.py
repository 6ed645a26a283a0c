"""Object storage and logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from covalent_lambda_container.files.streams import Readable

Parsed = TypeVar("Parsed")


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """What a function wrote.

    Parameters
    ----------
    time
        When.
    text
        One event, which may have several lines.
    """

    time: datetime
    text: str


class Logs(Protocol):
    """What functions wrote."""

    def last_event(self, function_name: str) -> datetime | None:
        """Return when a function last wrote something; None if nothing is there."""

    def read(
        self, function_name: str, since: datetime, *, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what a function wrote, oldest first; with `follow`, then what it writes."""


class BlobStore(Protocol):
    """A place for objects too large for an invocation."""

    def check(self) -> None:
        """Check that the place is there and may be used.

        Raises
        ------
        ConfigurationError
            It is not.
        """

    def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
        """Store an object, given whole or in pieces."""

    def read(self, key: str, parse: Callable[[Readable], Parsed]) -> Parsed | None:
        """Return what `parse` makes of an object's stream, or None when there is no such object.

        A stream that breaks, or that `parse` finds incomplete (ValueError), is read again.
        """

    def delete(self, keys: list[str]) -> None:
        """Remove objects; absent ones do not matter."""

    def read_url(self, key: str, *, valid_s: int) -> str:
        """Return a URL from which anyone may GET the object for a while."""

    def write_url(self, key: str, *, valid_s: int) -> str:
        """Return a URL to which anyone may PUT the object for a while."""
