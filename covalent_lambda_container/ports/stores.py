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
    """One log event of a function.

    Parameters
    ----------
    time
        When it was written.
    text
        Its text, which may have several lines.
    """

    time: datetime
    text: str


class Logs(Protocol):
    """The logs of functions."""

    def last_event(self, function_name: str) -> datetime | None:
        """Return when a function last wrote to its log; None if it never has."""

    def read(
        self, function_name: str, since: datetime, *, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield a function's log events, oldest first; with `follow`, also new ones."""


class BlobStore(Protocol):
    """Object storage, for data that is too large for an invocation."""

    def check(self) -> None:
        """Check that the storage exists and may be used.

        Raises
        ------
        ConfigurationError
            It does not exist, or may not be used.
        """

    def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
        """Store an object, given whole or in chunks."""

    def read(
        self, key: str, parse: Callable[[Readable], Parsed], *, limit: int | None = None
    ) -> Parsed | None:
        """Parse an object from its stream; return None if the object does not exist.

        A stream that breaks, or in which `parse` finds an error (ValueError), is read again.

        Parameters
        ----------
        key
            The object.
        parse
            Returns the value of a stream of its bytes.
        limit
            Bytes after which the stream ends, for an object of unknown size; at most 8 MB.
        """

    def delete(self, keys: list[str]) -> None:
        """Remove objects; those that do not exist are ignored."""

    def read_url(self, key: str, *, valid_s: int) -> str:
        """Return a URL from which anyone may GET the object for a while."""

    def write_url(self, key: str, *, valid_s: int) -> str:
        """Return a URL to which anyone may PUT the object for a while."""
