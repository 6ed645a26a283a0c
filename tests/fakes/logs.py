"""Functions' logs, in a list."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.stores import LogLine


class FakeLogs:
    """Logs of functions.

    Attributes
    ----------
    lines
        Log lines of each function, oldest first; tests may set them.
    arriving
        Lines that arrive one by one while a log is followed, until none remain.
    """

    def __init__(self) -> None:
        self.lines: dict[str, list[LogLine]] = {}
        self.arriving: list[LogLine] = []

    def write(self, function_name: str, time: datetime, text: str) -> None:
        """Let a function write something."""
        self.lines.setdefault(function_name, []).append(LogLine(time=time, text=text))

    def last_event(self, function_name: str) -> datetime | None:
        written = self.lines.get(function_name)
        return max(line.time for line in written) if written else None

    def read(
        self, function_name: str, since: datetime, *, follow: bool = False
    ) -> Iterator[LogLine]:
        if function_name not in self.lines and not follow:
            raise InvocationError(f"There is no log group /aws/lambda/{function_name}.")
        yield from (line for line in self.lines.get(function_name, ()) if line.time >= since)
        if follow:
            yield from self.arriving
            raise KeyboardInterrupt
