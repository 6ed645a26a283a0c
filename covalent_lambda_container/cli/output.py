"""A command's output: its result on stdout, messages on stderr.

On a terminal, progress is drawn and tables fit its width; elsewhere, in CI and with
``--no-progress``, output consists of plain lines.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import pkgutil
import shutil
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from covalent_lambda_container.cli.help import OUTPUT_SECTION, SectionOption
from covalent_lambda_container.cli.progress import Step, StepLines, drawn_steps
from covalent_lambda_container.cli.tables import lines_of

Body = TypeVar("Body", bound=Callable[..., Any])

_CI: Final = ("1", "true", "yes")
_PACKAGE: Final = __name__.partition(".")[0]
_FOLDER: Final = Path(__file__).parents[1]


class Output:
    """The destination of a command's result and its messages.

    Parameters
    ----------
    stdout, stderr
        Streams of the result and of the messages.
    as_json
        Whether the result is a JSON document.
    progress
        Whether progress may be drawn, if stderr is a terminal.
    quiet
        Whether only the result and errors are written.
    verbose
        Whether log messages are shown, such as the output of builds.
    """

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        *,
        as_json: bool = False,
        progress: bool = True,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.verbose = verbose
        self.draws = progress and not quiet and stderr.isatty() and not in_ci()
        self._stdout = stdout
        self._stderr = stderr
        self._write_aside: Callable[[str], None] = self._to_stderr

    @property
    def aside(self) -> Output:
        """An output whose results are messages, for text shown before a question."""
        return Output(self._stderr, self._stderr, progress=False)

    def note(self, line: str) -> None:
        """Write a message; indented lines, such as commands to copy, are not broken."""
        if not self.quiet:
            self._write_aside(wrapped(line, self._stderr, indented=False))

    def verbatim(self, text: str) -> None:
        """Write a message of others, such as a build's output, without breaking its lines."""
        if not self.quiet:
            self._write_aside(text)

    def warn(self, text: str) -> None:
        """Write a warning, even with ``--quiet``."""
        self._write_aside(styled(text, self._stderr, "Warning:", fg="yellow"))

    def error(self, text: str) -> None:
        """Write an error, even with ``--quiet``."""
        self._write_aside(styled(text, self._stderr, "Error:", fg="red"))

    def coloured(self, text: str, **style: Any) -> str:
        """Return a part of the result in a colour, if stdout supports it."""
        return click.style(text, **style) if takes_colour(self._stdout) else text

    def result(self, document: Any, *lines: str) -> None:
        """Write the result: a JSON document, or lines for people."""
        if self.as_json:
            text = json.dumps(document, indent=2, ensure_ascii=False)
        else:
            text = "\n".join(lines)
        print(text, file=self._stdout, flush=True)

    def fitting(self, lines: Sequence[str]) -> list[str]:
        """Return a result's lines, broken between words if stdout is a terminal."""
        return [wrapped(line, self._stdout) for line in lines]

    def line(self, document: Any, text: str) -> None:
        """Write one piece of an endless result: a JSON document on one line, or text."""
        shown = json.dumps(document, ensure_ascii=False) if self.as_json else text
        print(shown, file=self._stdout, flush=True)

    def table(
        self,
        document: Any,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        whole: Collection[str] = (),
    ) -> None:
        """Write the result: a JSON document, or a table.

        Each row is one line; on a terminal that is too narrow, cells are wrapped, except those of
        the columns in `whole`.
        """
        self.result(document, *lines_of(columns, rows, width=self.width, whole=whole))

    @property
    def width(self) -> int | None:
        """Characters in a line of stdout; None if it is not a terminal."""
        return shutil.get_terminal_size().columns if self._stdout.isatty() else None

    @contextmanager
    def steps(self) -> Iterator[Callable[[str], Step]]:
        """Show the progress of work, several pieces at once; yields a function that begins a piece.

        The function accepts the piece's name. A piece that has not ended on exit has failed.
        """
        if not self.draws:
            yield lambda name: StepLines(self.note, name)
            return
        with drawn_steps(self._stderr) as (begin, note):
            self._write_aside = note
            try:
                yield begin
            finally:
                self._write_aside = self._to_stderr

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Show log messages: warnings, or with ``--verbose`` everything.

        Covalent's own handlers are detached meanwhile: they would disturb the progress display.
        """
        handler = _LogHandler(self)
        handler.setFormatter(logging.Formatter("%(message)s"))
        loggers = [
            logging.getLogger(f"{_PACKAGE}.{module.name}")
            for module in pkgutil.iter_modules([str(_FOLDER)])
        ]
        before = [(log.level, log.propagate) for log in loggers]
        for log in loggers:
            log.addHandler(handler)
            log.setLevel(logging.INFO if self.verbose else logging.WARNING)
            log.propagate = False
        try:
            yield
        finally:
            for log, (level, propagate) in zip(loggers, before, strict=True):
                log.removeHandler(handler)
                log.setLevel(level)
                log.propagate = propagate

    def _to_stderr(self, line: str) -> None:
        print(line, file=self._stderr, flush=True)


class _LogHandler(logging.Handler):
    def __init__(self, output: Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record as a message."""
        text = self.format(record)
        if record.levelno >= logging.WARNING:
            self._output.warn(text)
        else:
            self._output.verbatim(text)


def styled(text: str, stream: TextIO, label: str, **style: Any) -> str:
    """Return a text after a label, which is coloured if the stream supports it."""
    text = wrapped(f"{label} {text}", stream).removeprefix(f"{label} ")
    shown = click.style(label, bold=True, **style) if takes_colour(stream) else label
    return f"{shown} {text}"


def wrapped(text: str, stream: TextIO, *, indented: bool = True) -> str:
    """Return a text whose long lines are broken between words if the stream is a terminal.

    The terminal itself would break them in the middle of words.

    Parameters
    ----------
    text, stream
        The text, and where it will be written.
    indented
        Whether lines that begin with a space are broken, too.
    """
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns

    def wrap(line: str) -> str:
        indent = len(line) - len(line.lstrip())
        if indent and not indented:
            return line
        return textwrap.fill(
            line,
            width,
            subsequent_indent=" " * (indent + 2) if indent else "",
            break_long_words=False,
            break_on_hyphens=False,
        )

    return "\n".join(wrap(line) if len(line) > width else line for line in text.split("\n"))


def takes_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that shows colours, and the user wants them.

    ``NO_COLOR`` and ``TERM=dumb`` turn colours off.
    """
    unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not unwanted


def in_ci() -> bool:
    """Return whether a CI system runs this."""
    return os.environ.get("CI", "").lower() in _CI


def reporting(body: Body) -> Body:
    """Add ``--json``, ``--no-progress``, ``-q`` and ``-v`` to a command, and the keyword `output`.

    While it runs, everything else written to stdout (by an imported workflow, or Covalent's log)
    goes to stderr.
    """

    @_flag("--json", "as_json", help="Write the result as JSON.")
    @_flag("--no-progress", help="Write plain lines, even on a terminal.")
    @_flag("-q", "--quiet", help="Write only the result, warnings and errors.")
    @_flag("-v", "--verbose", help="Show log messages, such as the output of builds.")
    @functools.wraps(body)
    def command(
        *args: Any, as_json: bool, no_progress: bool, quiet: bool, verbose: bool, **kwargs: Any
    ) -> Any:
        if quiet and verbose:
            raise click.UsageError("--quiet and --verbose contradict each other.")
        output = Output(
            sys.stdout,
            sys.stderr,
            as_json=as_json,
            progress=not no_progress,
            quiet=quiet,
            verbose=verbose,
        )
        with redirect_stdout(sys.stderr), output.logging():
            return body(*args, output=output, **kwargs)

    return command  # type: ignore[return-value]


def _flag(*names: str, **settings: Any) -> Callable[[Body], Body]:
    return click.option(*names, is_flag=True, cls=SectionOption, section=OUTPUT_SECTION, **settings)
