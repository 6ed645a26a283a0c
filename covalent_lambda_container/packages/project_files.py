"""Files of projects that name packages beside requirements files: locks, and ``pyproject.toml``.

Each is read as lines of a requirements file; ``FILE[NAME,…]`` adds extras and dependency groups.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

# The readers are imported where they are needed: few executors name such files, and all import
# this module.

_WITH_NAMES: Final = re.compile(
    r"(?P<path>(?:.*[/\\])?(?:uv\.lock|pyproject\.toml|pylock(?:\.[^./\\\[\]]+)?\.toml))"
    r"(?:\[(?P<names>[^\[\]]*)\])?"
)
_FOREIGN: Final = {
    "poetry.lock": "poetry export -o requirements.txt",
    "pdm.lock": "pdm export --format pylock -o pylock.toml",
    "Pipfile": "pipenv requirements > requirements.txt",
    "Pipfile.lock": "pipenv requirements > requirements.txt",
    "environment.yml": "pip list --format=freeze > requirements.txt",
    "setup.py": "pip list --format=freeze > requirements.txt",
    "setup.cfg": "pip list --format=freeze > requirements.txt",
}
"""Files of other tools, and the command that writes one that can be read."""
_LOCAL_HINT: Final = (
    "Give code of your own by the executor's option local_packages. Export the others: "
    "'uv export --no-emit-local -o requirements.txt', and name that file."
)


class ProjectFileError(ValueError):
    """A file cannot be read.

    Parameters
    ----------
    message
        What the matter is, phrased to follow the file's name.
    hint
        What to do about it; empty if the message is enough.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def path_and_names(text: str) -> tuple[Path, tuple[str, ...]]:
    """Split ``FILE[NAME,…]``, if the file is one of a project's."""
    match = _WITH_NAMES.fullmatch(text)
    if match is None:
        return Path(text), ()
    names = (name.strip() for name in (match["names"] or "").split(","))
    return Path(match["path"]), tuple(filter(None, names))


def read_project_file(path: Path, names: Collection[str]) -> list[tuple[str, str]] | None:
    """Return a project file's lines, each with its origin in the file; None for other files.

    Raises
    ------
    ProjectFileError
        When it cannot be read, or has what images cannot contain.
    OSError
        When the file cannot be read.
    """
    if path.name in _FOREIGN:
        raise ProjectFileError(
            "is a file of another tool", f"Name what this writes: {_FOREIGN[path.name]}"
        )
    if not _WITH_NAMES.fullmatch(path.name):
        return None
    text = path.read_text("utf-8")
    if path.name != "uv.lock":
        return _lines(text, names, is_lock=path.name.startswith("pylock"))
    from covalent_lambda_container.packages.uv_lock import exported

    beside = path.parent / "pyproject.toml"
    extras, groups = _split(_parsed(beside.read_text("utf-8")), names)
    try:
        return _lines(exported(path, extras, groups), (), is_lock=True)
    except ProjectFileError:
        raise
    except ValueError as exc:
        raise ProjectFileError(f"cannot be used: {exc}") from None


def read_project_text(text: str) -> list[tuple[str, str]] | None:
    """Return the lines of a project file's text; None for the text of a requirements file.

    Raises
    ------
    ProjectFileError
        As `read_project_file`.
    """
    if re.search(r"^lock-version\s*=", text, re.MULTILINE):
        return _lines(text, (), is_lock=True)
    if re.search(r"^version\s*=\s*\d+\s*$[\s\S]*^\[\[package\]\]", text, re.MULTILINE):
        raise ProjectFileError(
            "is a uv.lock, which uv reads together with its project",
            "Give it to the executor, requirements=['-r uv.lock'], or name what this writes: "
            "uv export --format pylock.toml -o pylock.toml",
        )
    if re.search(r"^\[(?:project|build-system|dependency-groups)\]", text, re.MULTILINE):
        return _lines(text, (), is_lock=False)
    return None


def _lines(text: str, names: Collection[str], *, is_lock: bool) -> list[tuple[str, str]]:
    from covalent_lambda_container.packages.pylock import read_pylock
    from covalent_lambda_container.packages.pyproject import read_pyproject
    from covalent_lambda_container.packages.uv_lock import default_index

    document = _parsed(text)
    try:
        if is_lock:
            return list(read_pylock(document, names, default_index))
        return list(read_pyproject(document, names))
    except ValueError as exc:
        hint = _LOCAL_HINT if "code of your own" in str(exc) else ""
        raise ProjectFileError(str(exc), hint) from None


def _split(document: Mapping[str, Any], names: Collection[str]) -> tuple[list[str], list[str]]:
    from covalent_lambda_container.packages.pyproject import split_names

    try:
        return split_names(document, names)
    except ValueError as exc:
        raise ProjectFileError(str(exc)) from None


def _parsed(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # type: ignore[import-not-found]

    try:
        document: dict[str, Any] = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ProjectFileError(f"is not valid TOML: {exc}") from None
    return document
