"""The ``.dockerignore`` file of a user's package: which of its files are left out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.packages.package_files import read_text

IGNORE_FILE: Final = ".dockerignore"
PROJECT_FILES: Final = ("pyproject.toml", "setup.py", "setup.cfg")
"""Files of the folder of a project."""

_OPTION: Final = "AWSLambdaContainerExecutor option local_packages"
_MAX_BYTES: Final = 256 * 1024
_MOST_STARS: Final = 10
_MOST_STARS_OF_A_NAME: Final = 4
"""Most wildcards of a pattern. With many, comparing it with one long name may take hours, in which
nothing else runs in this process."""


def exclusion(package: Path) -> Callable[[Path], bool]:
    """Return a function that returns whether a file or folder of a package is excluded.

    Raises
    ------
    ConfigurationError
        The file has an invalid pattern, or cannot be read.
    """
    for folder in (package, *package.parents):
        file = folder / IGNORE_FILE
        if file.is_file():
            return _Exclusion(folder, _text_of(file)).covers
        if any((folder / name).exists() for name in (".git", *PROJECT_FILES)):
            break
    return lambda _: False


def _text_of(file: Path) -> str:
    try:
        return read_text(file, _MAX_BYTES)
    except ValueError as exc:
        raise ConfigurationError(f"{_OPTION}: {file} cannot be read: {exc}.") from exc


class _Exclusion:
    """A ``.dockerignore`` file, matched by Docker's own library."""

    def __init__(self, folder: Path, text: str) -> None:
        # Imported here because `import covalent` imports this module.
        from docker.utils.build import PatternMatcher

        lines = [line.strip() for line in text.splitlines()]
        self._folder = folder
        patterns = [line for line in lines if line and line[0] != "#"]
        for pattern in patterns:
            _check_pattern(folder / IGNORE_FILE, pattern, PatternMatcher)
        self._matcher = PatternMatcher(patterns)

    def covers(self, path: Path) -> bool:
        name = path.relative_to(self._folder).as_posix()
        if not self._matcher.matches(name):  # type: ignore[arg-type] # it takes texts
            return False
        # A later line may include something below an excluded folder.
        return not path.is_dir() or not any(
            pattern.exclusion and pattern.cleaned_pattern.startswith(f"{name}/")
            for pattern in self._matcher.patterns
        )


def _check_pattern(file: Path, pattern: str, matcher: Callable[[list[str]], Any]) -> None:
    """Refuse a pattern that Docker's library cannot read, or that it may try for minutes."""
    stars = re.findall(r"\*+", pattern)
    in_a_name = max(part.count("*") for part in pattern.replace("**", "*").split("/"))
    if len(stars) > _MOST_STARS or in_a_name > _MOST_STARS_OF_A_NAME:
        why = "it has too many wildcards"
    else:
        try:
            matcher([pattern]).matches("name")
        except (re.error, ValueError, IndexError) as exc:
            why = str(exc)
        else:
            return
    raise ConfigurationError(f"{_OPTION}: {file} has the invalid pattern {pattern!r}: {why}.")
