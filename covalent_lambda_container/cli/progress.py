"""Work in progress: drawn on a terminal, elsewhere a line for each step."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID


class Step(Protocol):
    """A piece of work in progress."""

    def report(self, state: str) -> None:
        """Show what is being done."""

    def end(self, outcome: str) -> None:
        """Show the outcome; nothing follows."""


class StepLines:
    """A piece of work whose progress is printed as lines."""

    def __init__(self, note: Callable[[str], None], name: str) -> None:
        self._note = note
        self._name = name
        self._started = time.monotonic()
        self._state = ""

    def report(self, state: str) -> None:
        """Write a line, unless it differs from the last one only in its numbers."""
        kind = "".join(character for character in state if not character.isdigit())
        if kind != self._state:
            self._state = kind
            self._note(f"{self._name}: {state}")

    def end(self, outcome: str) -> None:
        """Write a line with the time that the work took."""
        self._note(f"{self._name}: {outcome} ({time.monotonic() - self._started:.1f} s)")


class DrawnStep:
    """A piece of work as a line of a progress display."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._task: TaskID = progress.add_task(_plain(name), total=1)

    def report(self, state: str) -> None:
        """Replace the line's text."""
        self._progress.update(self._task, description=_plain(f"{self._name}: {state}"))

    def end(self, outcome: str) -> None:
        """Leave the line on the screen with the outcome."""
        self._progress.update(
            self._task, description=_plain(f"{self._name}: {outcome}"), completed=1
        )


@contextmanager
def drawn_steps(stream: TextIO) -> Iterator[tuple[Callable[[str], Step], Callable[[str], None]]]:
    """Draw work on a terminal while the context is open.

    Yields
    ------
    begin
        Function that begins a piece of work with this name.
    note
        Function that writes a line above the display.
    """
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    text = Column(ratio=1, no_wrap=True, overflow="ellipsis")
    columns = (
        SpinnerColumn(finished_text=" "),
        TextColumn("{task.description}", table_column=text),
        TimeElapsedColumn(),
    )
    console = Console(file=stream, highlight=False)
    with Progress(*columns, console=console, expand=True) as drawn:
        yield lambda name: DrawnStep(drawn, name), lambda line: _write(console, line)


def _write(console: Console, line: str) -> None:
    from rich.text import Text

    # Lines already have their colours, and only the terminal breaks them.
    console.print(Text.from_ansi(line), soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
