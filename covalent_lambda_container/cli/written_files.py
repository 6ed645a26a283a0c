"""Files that a command writes where its user says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from covalent_lambda_container.cli.output import Body, Output
from covalent_lambda_container.errors import ConfigurationError


class WrittenFile(click.Path):
    """The path of a file that will be written; it is refused at once if that cannot be done.

    Nothing is written yet, and no empty file is left.
    """

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        """Return the path.

        Raises
        ------
        click.BadParameter
            A file cannot be written there.
        """
        path = Path(str(super().convert(value, param, ctx)))
        try:
            problem = _problem(path)
        except OSError as exc:
            problem = _reason(exc)
        if problem:
            self.fail(f"{path} cannot be written: {problem}.", param, ctx)
        return path


def html_option(what: str) -> Callable[[Body], Body]:
    """Add ``html_file``, the path of a page, to a command; `what` says what it shows."""
    return click.option(
        "--html",
        "html_file",
        metavar="FILE",
        type=WrittenFile(),
        help=f"Also write {what} to one HTML file, which needs no network.",
    )


def write_file(path: Path, text: str, output: Output) -> None:
    """Write a file that a command writes beside its result, which has been shown.

    Raises
    ------
    ConfigurationError
        It cannot be written.
    """
    try:
        path.write_text(text, "utf-8")
    except OSError as exc:
        raise ConfigurationError(
            f"{path} cannot be written: {_reason(exc)}. The result itself is complete."
        ) from exc
    output.note(f"Wrote {path}")


def _problem(path: Path) -> str:
    target = Path(os.path.realpath(path))
    try:
        target.stat()
    except FileNotFoundError:
        folder = target.parent
        if not folder.exists():
            return f"there is no folder {folder}"
        # Permissions do not show it all: file systems may be read-only, and root passes them.
        with tempfile.TemporaryFile(dir=folder):
            pass
    return ""


def _reason(exc: OSError) -> str:
    reason = exc.strerror or str(exc)
    return reason[:1].lower() + reason[1:]
