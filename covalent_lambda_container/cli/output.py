"""What a command says: its result on stdout, all talk on stderr.

On a terminal, progress is drawn; elsewhere, in CI and with ``--no-progress`` it is plain lines.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO, TypeVar

import click

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Body = TypeVar("Body", bound=Callable[..., Any])

_CI: Final = ("1", "true", "yes")


class Step(Protocol):
    """A piece of work that is shown while it goes on."""

    def tell(self, state: str) -> None:
        """Say what is done now."""

    def end(self, outcome: str) -> None:
        """Say what came of it; nothing is said afterwards."""


class Output:
    """Where a command's result and its talk go.

    Parameters
    ----------
    stdout, stderr
        Takes the result; takes the talk.
    as_json
        Whether the result is a JSON document.
    progress
        Whether progress may be drawn; it is where stderr is a terminal.
    """

    def __init__(self, stdout: TextIO, stderr: TextIO, *, as_json: bool, progress: bool) -> None:
        self.as_json = as_json
        self.draws = progress and stderr.isatty() and not in_ci()
        self._stdout = stdout
        self._stderr = stderr

    @property
    def aside(self) -> Output:
        """An output whose results are talk: what is shown before a question."""
        return Output(self._stderr, self._stderr, as_json=False, progress=False)

    def note(self, line: str) -> None:
        """Say something beside the result."""
        print(line, file=self._stderr, flush=True)

    def show_log(self) -> None:
        """Let what is logged be talk: the output of builds, for one.

        To be called when Covalent is imported, which sets the level of the log.
        """
        log = logging.getLogger("covalent_lambda_container")
        handler = logging.StreamHandler(self._stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)

    def result(self, document: Any, *lines: str) -> None:
        """Write the result: a JSON document, or what a reader gets instead."""
        if self.as_json:
            text = json.dumps(document, indent=2, ensure_ascii=False)
        else:
            text = "\n".join(lines)
        print(text, file=self._stdout, flush=True)

    def line(self, document: Any, text: str) -> None:
        """Write a piece of a result that has no end: a JSON document on one line, or text."""
        shown = json.dumps(document, ensure_ascii=False) if self.as_json else text
        print(shown, file=self._stdout, flush=True)

    def table(self, document: Any, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Write the result: a JSON document, or a table, each row a line of its own."""
        cells = [[column.upper() for column in columns], *rows]
        widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in cells
        ]
        self.result(document, *lines)

    @contextmanager
    def steps(self) -> Iterator[Callable[[str], Step]]:
        """Show work while it goes on, several pieces at once; yields what begins a piece.

        A piece is begun with its name; a piece that is not ended by then failed.
        """
        if not self.draws:
            yield lambda name: _Lines(self.note, name)
            return
        from rich.console import Console
        from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn(finished_text=" "), TextColumn("{task.description}"))
        console = Console(file=self._stderr, highlight=False)
        with Progress(*columns, TimeElapsedColumn(), console=console) as drawn:
            yield lambda name: _Drawn(drawn, name)


class _Lines:
    def __init__(self, note: Callable[[str], None], name: str) -> None:
        self._note = note
        self._name = name
        self._started = time.monotonic()

    def tell(self, state: str) -> None:
        self._note(f"{self._name}: {state}")

    def end(self, outcome: str) -> None:
        self._note(f"{self._name}: {outcome} ({time.monotonic() - self._started:.1f} s)")


class _Drawn:
    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._name = name
        self._task: TaskID = progress.add_task(_plain(name), total=1)

    def tell(self, state: str) -> None:
        self._progress.update(self._task, description=_plain(f"{self._name}: {state}"))

    def end(self, outcome: str) -> None:
        self._progress.update(
            self._task, description=_plain(f"{self._name}: {outcome}"), completed=1
        )


def age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago something was, in words; a dash for never."""
    if moment is None:
        return "–"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def megabytes(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size / 1e6:,.0f} MB"


def in_ci() -> bool:
    """Tell whether a CI system runs this."""
    return os.environ.get("CI", "").lower() in _CI


def reporting(body: Body) -> Body:
    """Give a command ``--json`` and ``--no-progress``, and the keyword ``output``.

    What anything else writes to stdout meanwhile (a workflow that is imported, Covalent's log) is
    talk as well.
    """

    @click.option("--json", "as_json", is_flag=True, help="Write the result as JSON.")
    @click.option("--no-progress", is_flag=True, help="Write plain lines, also on a terminal.")
    @functools.wraps(body)
    def command(*args: Any, as_json: bool, no_progress: bool, **kwargs: Any) -> Any:
        output = Output(sys.stdout, sys.stderr, as_json=as_json, progress=not no_progress)
        with redirect_stdout(sys.stderr):
            return body(*args, output=output, **kwargs)

    return command  # type: ignore[return-value]


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)
