"""pip's requirements files, and lines as in them: read, or refused with file and line.

Nothing is skipped: a line that an image cannot honour is an error. Libraries that read these files
either skip what they do not know or need each file on a disk; here, some arrive as text.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, NoReturn

from packaging.utils import InvalidName, canonicalize_name

from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.packages.requirements import (
    Requirements,
    canonical_requirement,
    has_hash,
    parsed,
    refusal,
)
from covalent_lambda_container.packages.urls import INDEX_SCHEMES, UnusableUrl, checked_url

_COMMENT = re.compile(r"(^|\s+)#.*$")
_OPTIONS = re.compile(r"(?:^|\s+)(?=-)")

_NOT_HERE_HINT: Final = (
    "The dispatcher gets the text and no other file. Put the lines of that file in place of its "
    "name, or give the executor requirements=['-r FILE']: it reads files where it is made."
)
_OWN_CODE_HINT: Final = (
    "Code of your own comes by the executor's option local_packages, or with the electron by "
    "ct.DepsModule; packages come from an index, a URL or a git repository."
)


def read_requirement_lines(
    lines: Iterable[str], *, origin: str, folder: Path | None = None, constrain: bool = False
) -> Requirements:
    """Read requirements that are given one by one.

    Parameters
    ----------
    lines
        Lines as in a requirements file, without comments.
    origin
        Where they were written, for the error: ``"DepsPip"``, ``"requirements"``.
    folder
        What the files of ``-r`` and ``-c`` are relative to; None where no file can be read.
    constrain
        Whether the lines are constraints.

    Raises
    ------
    RequirementError
        For a line that cannot be honoured.
    """
    reader = _Reader()
    place = _Position(origin=origin, folder=folder, constrains=constrain)
    for line in lines:
        reader.read_line(line.strip(), place)
    return reader.result()


def read_requirements_text(text: str, *, origin: str) -> Requirements:
    """Read the content of a requirements file that is elsewhere.

    Parameters
    ----------
    text
        Content of the file.
    origin
        Name used in errors, followed by the line number.

    Raises
    ------
    RequirementError
        For a line that cannot be honoured; ``-r`` and ``-c`` are among these.
    """
    reader = _Reader()
    reader.read_text(text, _Position(origin=origin))
    return reader.result()


def read_requirements_file(path: Path) -> Requirements:
    """Read a requirements file, and the files that it names by ``-r`` and ``-c``.

    Raises
    ------
    RequirementError
        For a line that cannot be honoured, with its file and number, and for a file that cannot be
        read or that includes itself.
    """
    reader = _Reader()
    reader.read_file(path, _Position(origin="requirements"))
    return reader.result()


def names_file(line: str) -> bool:
    """Tell whether a line stands for a file with requirements or constraints."""
    return line.strip().startswith(("-r", "-c", "--requirement", "--constraint"))


@dataclass(frozen=True, kw_only=True)
class _Position:
    """Where a line stands.

    Parameters
    ----------
    origin
        For the error.
    folder
        What names of files are relative to; None where no file can be read.
    trail
        The files that led here, outermost first.
    constrains
        Whether the line is a constraint.
    """

    origin: str
    folder: Path | None = None
    trail: tuple[Path, ...] = ()
    constrains: bool = False


class _Reader:
    """Collects what lines and files say."""

    def __init__(self) -> None:
        # With the place where each stands.
        self._packages: dict[str, str] = {}
        self._constraints: set[str] = set()
        self._options: set[str] = set()

    def result(self) -> Requirements:
        """Return all that was read.

        Raises
        ------
        RequirementError
            When some packages have hashes and some have none, as pip does, or when options
            contradict each other.
        """
        bare = [line for line in self._packages if not has_hash(line)]
        if len(bare) not in (0, len(self._packages)):
            raise refusal(
                self._packages[bare[0]],
                bare[0],
                "has no hash, and others have one",
                "Give each package a hash or none; 'pip-compile --generate-hashes' does it.",
            )
        collected = Requirements(
            packages=tuple(self._packages),
            constraints=tuple(self._constraints),
            options=tuple(self._options),
        )
        return Requirements() | collected

    def read_file(self, path: Path, place: _Position) -> None:
        """Read a file; `place` is where its name stands."""
        file = path.expanduser().resolve()
        trail = (*place.trail, file)
        if file in place.trail:
            raise RequirementError(
                f"{place.origin}: {path} includes itself: {' → '.join(map(str, trail))}."
            )
        try:
            text = file.read_text("utf-8-sig")
        except (OSError, ValueError) as exc:
            raise RequirementError(f"{place.origin}: {path} cannot be read: {exc}.") from exc
        self.read_text(text, replace(place, origin=str(path), folder=path.parent, trail=trail))

    def read_text(self, text: str, place: _Position) -> None:
        for number, line in _logical_lines(text):
            self.read_line(line, replace(place, origin=f"{place.origin}, line {number}"))

    def read_line(self, line: str, place: _Position) -> None:
        requirement, given = _split(line, place.origin)
        if "editable" in given or requirement.startswith((".", "/", "~")):
            raise refusal(place.origin, line, "is a folder or file of your machine", _OWN_CODE_HINT)
        if requirement or not line:
            if set(given) - {"hash"}:
                raise refusal(place.origin, line, "has an option that needs a line of its own")
            hashes = given.get("hash", ())
            self._add(canonical_requirement(requirement, place.origin, hashes), line, place)
        elif "hash" in given:
            raise refusal(place.origin, line, "is a hash without the package that should have it")
        for name in given.get("requirement", ()):
            self._include(name, line, replace(place, constrains=False))
        for name in given.get("constraint", ()):
            self._include(name, line, replace(place, constrains=True))
        try:
            for option, canonical in _OPTION_LINES.items():
                self._options.update(*map(canonical, given.get(option, ())))
        except UnusableUrl as exc:
            raise refusal(place.origin, line, str(exc), exc.hint) from None
        except ValueError as exc:
            raise refusal(place.origin, line, str(exc)) from None

    def _add(self, canonical: str, line: str, place: _Position) -> None:
        if not place.constrains:
            self._packages.setdefault(canonical, place.origin)
        elif parsed(canonical).extras:
            raise refusal(place.origin, line, "is a constraint with extras: pip takes none")
        else:
            self._constraints.add(canonical)

    def _include(self, name: str, line: str, place: _Position) -> None:
        if place.folder is None:
            raise refusal(place.origin, line, "names a file that is not here", _NOT_HERE_HINT)
        if "://" in name:
            raise refusal(place.origin, line, "names no file of this machine")
        self.read_file(place.folder / Path(name).expanduser(), place)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield what pip takes for one line, without comments, and the number of its first line."""
    pending = ""
    first_line = 0
    for number, line in enumerate([*text.splitlines(), ""], start=1):
        if not pending:
            first_line = number
        if line.endswith("\\") and not _COMMENT.search(line):
            pending += line[:-1]
            continue
        whole = _COMMENT.sub("", pending + line).strip()
        pending = ""
        if whole:
            yield first_line, whole


def _split(line: str, origin: str) -> tuple[str, dict[str, list[str]]]:
    """Split a line into its requirement, empty if it has none, and the values of its options."""
    requirement, *options = _OPTIONS.split(line, maxsplit=1)
    try:
        given = _line_parser().parse_args(shlex.split(options[0]) if options else [])
    except ValueError as exc:
        raise refusal(origin, line, f"cannot be used in an image: {exc}") from None
    return requirement, vars(given)


class _LineParser(argparse.ArgumentParser):
    """Parses the options of one line."""

    def error(self, message: str) -> NoReturn:
        raise ValueError(message)


@cache
def _line_parser() -> _LineParser:
    parser = _LineParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for names in (
        ["-r", "--requirement"],
        ["-c", "--constraint"],
        ["-e", "--editable"],
        ["-i", "--index-url", "--pypi-url"],
        ["--extra-index-url"],
        ["-f", "--find-links"],
        ["--no-binary"],
        ["--only-binary"],
        ["--hash"],
    ):
        parser.add_argument(*names, action="append")
    return parser


def _index_line(option: str) -> Callable[[str], list[str]]:
    # Indexes are the same with a slash at the end and without; pages of links are not.
    return lambda url: [f"{option} {checked_url(url, INDEX_SCHEMES).rstrip('/')}"]


def _name_lines(option: str) -> Callable[[str], list[str]]:
    return lambda names: [f"{option} {_package_name(name)}" for name in names.split(",")]


# Canonical lines of the options that take part in an image, by argparse's name for the value.
_OPTION_LINES: Final[Mapping[str, Callable[[str], list[str]]]] = {
    "index_url": _index_line("--index-url"),
    "extra_index_url": _index_line("--extra-index-url"),
    "find_links": lambda url: [f"--find-links {checked_url(url, INDEX_SCHEMES)}"],
    "no_binary": _name_lines("--no-binary"),
    "only_binary": _name_lines("--only-binary"),
}


def _package_name(name: str) -> str:
    if name == ":all:":
        return name
    try:
        return canonicalize_name(name.strip(), validate=True)
    except InvalidName:
        raise ValueError(f"names {name!r}, which is neither a package nor :all:") from None
