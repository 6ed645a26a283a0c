"""Reads requirements files and what stands for them, and single lines; errors name file and line.

No line is skipped: a line that an image cannot honour is an error. Libraries that read such files
skip unknown lines, or need every file on disk; here, some files arrive as text.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import RequirementError, reason_of
from covalent_lambda_container.packages.mistaken_files import refuse_files
from covalent_lambda_container.packages.pip_forms import (
    BY_URL,
    decoded,
    editable_as_package,
    how_to_download,
    logical_lines,
    with_name,
    with_variables,
    without_empty_marker,
)
from covalent_lambda_container.packages.pip_options import REFUSED, split_line, with_options
from covalent_lambda_container.packages.project_files import (
    ProjectFileError,
    path_and_names,
    read_project_file,
    read_project_text,
)
from covalent_lambda_container.packages.requirements import (
    Requirements,
    canonical_requirement,
    has_hash,
    parsed,
    refusal,
)
from covalent_lambda_container.packages.urls import UnusableUrl

_NOT_HERE_HINT: Final = (
    "The dispatcher gets only this text, not other files. Insert the lines of that file, or use "
    "the executor's requirements=['-r FILE'], which is read where the executor is created."
)
_VARIABLE_HINT: Final = (
    "Write its value, or set it where the file is read: the executor's requirements=['-r FILE'] is "
    "read where the executor is created."
)


def read_requirement_lines(
    lines: Iterable[str], *, origin: str, folder: Path | None = None, constrain: bool = False
) -> Requirements:
    """Read requirements given as single lines.

    Parameters
    ----------
    lines
        Lines as in a requirements file, without comments.
    origin
        Their source, for error messages: ``"DepsPip"``, ``"requirements"``.
    folder
        Base of relative paths of ``-r`` and ``-c``; None if no file can be read.
    constrain
        Whether the lines are constraints.

    Raises
    ------
    RequirementError
        A line cannot be honoured.
    """
    reader = _Reader()
    place = _Position(origin=origin, folder=folder, constrains=constrain)
    for line in lines:
        reader.read_line(line.strip(), place)
    return reader.result()


def read_requirements_text(text: str, *, origin: str) -> Requirements:
    """Read the text of a requirements file that is on another machine.

    Parameters
    ----------
    text
        Text of the file.
    origin
        Name of the file for error messages.

    Raises
    ------
    RequirementError
        A line cannot be honoured, such as one with ``-r`` or ``-c``.
    """
    reader = _Reader()
    reader.read_text(text.removeprefix("\ufeff"), _Position(origin=origin))
    return reader.result()


def read_requirements_file(path: Path) -> Requirements:
    """Read a requirements file, and the files that it includes with ``-r`` and ``-c``.

    Raises
    ------
    RequirementError
        A line cannot be honoured, or a file cannot be read or includes itself.
    """
    reader = _Reader()
    reader.read_file(path, _Position(origin="requirements"))
    return reader.result()


def names_file(line: str) -> bool:
    """Return whether a line names a file with requirements or constraints."""
    return line.strip().startswith(("-r", "-c", "--requirement", "--constraint"))


@dataclass(frozen=True, kw_only=True)
class _Position:
    """The position of a line.

    Parameters
    ----------
    origin
        Position for error messages.
    folder
        Base of relative file names; None if no file can be read.
    trail
        The files that include this one, outermost first.
    constrains
        Whether the line is a constraint.
    """

    origin: str
    folder: Path | None = None
    trail: tuple[Path, ...] = ()
    constrains: bool = False


class _Reader:
    """Collects the requirements of lines and files."""

    def __init__(self) -> None:
        # Each line with its position.
        self._packages: dict[str, str] = {}
        self._constraints: set[str] = set()
        self._options: set[str] = set()
        self._hashes_required = False

    def result(self) -> Requirements:
        """Return everything that was read.

        Raises
        ------
        RequirementError
            Some packages have hashes and others have none, as in pip, or options contradict each
            other.
        """
        bare = [line for line in self._packages if not has_hash(line)]
        if bare and self._hashes_required:
            raise refusal(
                self._packages[bare[0]],
                bare[0],
                "has no hash, which --require-hashes demands",
                "Add a hash to each package: 'pip-compile --generate-hashes' does it.",
            )
        if len(bare) not in (0, len(self._packages)):
            raise refusal(
                self._packages[bare[0]],
                bare[0],
                "has no hash, but others have one",
                "Add a hash to all packages or to none: 'pip-compile --generate-hashes' does it.",
            )
        collected = Requirements(
            packages=tuple(self._packages),
            constraints=tuple(self._constraints),
            options=tuple(self._options),
        )
        return Requirements() | collected

    def read_file(self, path: Path, place: _Position) -> None:
        """Read a file; `place` is the position of its name."""
        path, names = path_and_names(str(path))
        file = path.expanduser().resolve()
        trail = (*place.trail, file)
        if file in place.trail:
            raise RequirementError(
                f"{place.origin}: {path} includes itself: {' → '.join(map(str, trail))}."
            )
        within = replace(place, origin=str(path), folder=path.parent, trail=trail)
        try:
            lines = read_project_file(file, names)
            text = decoded(file.read_bytes()) if lines is None else ""
        except ProjectFileError as exc:
            raise RequirementError(f"{place.origin}: {path} {exc}.", hint=exc.hint) from None
        except (OSError, ValueError) as exc:
            raise RequirementError(
                f"{place.origin}: {path} cannot be read: {reason_of(exc, path)}."
            ) from exc
        self._read(lines, text, within)

    def read_text(self, text: str, place: _Position) -> None:
        try:
            lines = read_project_text(text)
        except ProjectFileError as exc:
            raise RequirementError(f"{place.origin}: the file {exc}.", hint=exc.hint) from None
        self._read(lines, text, place)

    def _read(self, lines: Iterable[tuple[str, str]] | None, text: str, place: _Position) -> None:
        if lines is None:
            self._read_lines(text, place)
            return
        if place.constrains:
            raise RequirementError(
                f"{place.origin} names packages to install, and is no file of constraints."
            )
        for where, line in lines:
            self.read_line(line, replace(place, origin=f"{place.origin}, {where}", folder=None))

    def _read_lines(self, text: str, place: _Position) -> None:
        # The text comes from another machine, whose variables this one does not have.
        environment = os.environ if place.folder else None
        for number, line in logical_lines(text):
            origin = f"{place.origin}, line {number}"
            try:
                expanded = with_variables(line, environment)
            except ValueError as exc:
                raise refusal(origin, line, str(exc), _VARIABLE_HINT) from None
            self.read_line(expanded, replace(place, origin=origin))

    def read_line(self, line: str, place: _Position) -> None:
        requirement, given = split_line(line, place.origin)
        for option in given.keys() & REFUSED.keys():
            raise refusal(place.origin, line, *REFUSED[option])
        requirement = self._requirement(requirement, given, line, place)
        if requirement or not line:
            if set(given) - {"hash", "editable"}:
                raise refusal(place.origin, line, "has an option that must be on a line of its own")
            hashes = given.get("hash", ())
            self._add(canonical_requirement(requirement, place.origin, hashes), line, place)
        elif "hash" in given:
            raise refusal(place.origin, line, "is a hash without a package")
        self._hashes_required |= "require_hashes" in given
        for name in given.get("requirement", ()):
            self._include(name, line, replace(place, constrains=False))
        for name in given.get("constraint", ()):
            self._include(name, line, replace(place, constrains=True))
        try:
            self._options = with_options(self._options, given)
        except UnusableUrl as exc:
            raise refusal(place.origin, line, str(exc), exc.hint) from None
        except ValueError as exc:
            raise refusal(place.origin, line, str(exc)) from None

    @staticmethod
    def _requirement(
        requirement: str, given: Mapping[str, list[str]], line: str, place: _Position
    ) -> str:
        """Return the PEP 508 form of a line's requirement, or ``""``."""
        for url in given.get("editable", ()):
            requirement = url
        refuse_files(requirement, line, place.origin)
        try:
            if "editable" in given:
                return editable_as_package(requirement)
            return with_name(without_empty_marker(requirement))
        except ValueError as exc:
            raise refusal(place.origin, line, str(exc)) from None

    def _add(self, canonical: str, line: str, place: _Position) -> None:
        if not place.constrains:
            self._packages.setdefault(canonical, place.origin)
        elif parsed(canonical).extras:
            raise refusal(
                place.origin, line, "is a constraint with extras, which pip does not allow"
            )
        else:
            self._constraints.add(canonical)

    def _include(self, name: str, line: str, place: _Position) -> None:
        if "://" in name:
            hint = _NOT_HERE_HINT if place.folder is None else ""
            raise refusal(place.origin, line, BY_URL, f"{how_to_download(name)}\n{hint}".strip())
        if place.folder is None:
            raise refusal(
                place.origin, line, "names a file that the dispatcher does not have", _NOT_HERE_HINT
            )
        self.read_file(place.folder / Path(name).expanduser(), place)
