"""The user's own code: packages and modules that are copied into an image (``local_packages``).

They are located where the executor is created and read where the dispatcher runs, which is the same
machine for most users: only their paths are passed on.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import itertools
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.packages.ignore_file import IGNORE_FILE, PROJECT_FILES, exclusion
from covalent_lambda_container.packages.package_files import (
    FilesChanged,
    PackageFile,
    module_file,
    package_files,
    read,
)

log = logging.getLogger(__name__)

MAX_BYTES: Final = 20 * 1024 * 1024
"""Limit on the size of a package. Its files are kept in memory and are part of every build; the
limit suffices for source code, but not for data."""
MAX_FILES: Final = 10_000
"""Limit on the number of files of a package: each is listed for every task."""

_OPTION: Final = "AWSLambdaContainerExecutor option local_packages"
RESERVED_MODULES: Final = frozenset(
    {
        *("covalent_lambda_runtime", "awslambdaric", "runtime_client", "snapshot_restore_py"),
        "cloudpickle",
    }
)
"""Modules of the runtime and of Lambda, which nothing else in an image may replace."""

_CACHES: Final = ("__pycache__", "node_modules")
_CACHE_SUFFIXES: Final = (".pyc", ".pyo", ".egg-info")
_SHOWN_FILES: Final = 5
_ATTEMPTS: Final = 4
_PAUSE_S: Final = 0.2
"""How often, and after what time, a package is read again that changed meanwhile: editors replace
files."""


@dataclass(frozen=True, kw_only=True)
class LocalPackage:
    """A package or module of the user, with its content.

    Parameters
    ----------
    name
        Import name.
    digest
        SHA-256 (hexadecimal) of the names and contents of its files.
    files
        Pairs of name, ``"mypkg/part/__init__.py"``, and content, sorted.
    """

    name: str
    digest: str
    files: tuple[tuple[str, bytes], ...] = field(compare=False, repr=False)


def locate(entry: str, folder: Path) -> str:
    """Return the absolute path of a package or module.

    Parameters
    ----------
    entry
        Import name, or path of its folder or file.
    folder
        Folder that paths are relative to.

    Raises
    ------
    ConfigurationError
        It does not exist, or its name cannot be imported.
    """
    if entry.isidentifier():
        found = _importable(entry)
        if found is not None:
            return str(_checked(found, entry))
    return str(_checked(Path(os.path.normpath(folder / Path(entry).expanduser())), entry))


def read_local_packages(paths: Sequence[str]) -> tuple[LocalPackage, ...]:
    """Read packages and modules; return them sorted by name.

    Skips caches, hidden files and folders, links to folders, links that lead out of the package or
    to something hidden, and files that the nearest ``.dockerignore`` excludes. That file is in the
    package's folder, or above it in the same project.

    Raises
    ------
    ConfigurationError
        One does not exist, is too large, or contains no Python file.
    """
    packages = [_read(path) for path in dict.fromkeys(paths)]
    by_name = {package.name: package for package in packages}
    if len(by_name) < len(packages):
        names = sorted(package.name for package in packages)
        raise ConfigurationError(f"{_OPTION}: two of {', '.join(names)} have the same name.")
    return tuple(by_name[name] for name in sorted(by_name))


def _importable(name: str) -> Path | None:
    """Find a module without importing it."""
    if name in sys.stdlib_module_names:
        return None
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ())
    if len(folders) == 1:
        return Path(folders[0])
    return Path(spec.origin) if spec.origin and spec.has_location else None


def _checked(path: Path, entry: str) -> Path:
    where = f"{_OPTION}={[entry]!r}"
    if not path.exists():
        raise ConfigurationError(
            f"{where}: this machine has neither a module {entry!r} of yours nor a file {path}.",
            hint="Use a package's import name, or the path of its folder.",
        )
    if path.is_dir():
        is_project = any((path / name).exists() for name in PROJECT_FILES)
        if (is_project or path.name == "src") and not (path / "__init__.py").exists():
            raise ConfigurationError(
                f"{where}: {path} has no __init__.py: it contains packages, but is not one.",
                hint=f"Name the package inside it, such as '{entry.rstrip('/')}/mypkg'; list its "
                "dependencies in ct.DepsPip.",
            )
    elif path.suffix != ".py":
        raise ConfigurationError(f"{where}: {path} is neither a folder nor a Python file.")
    if path.stem in RESERVED_MODULES:
        raise ConfigurationError(
            f"{where}: {path.stem} would replace the module of that name that runs tasks.",
            hint="Rename yours.",
        )
    if not path.stem.isidentifier() or (path.is_dir() and not path.name.isidentifier()):
        raise ConfigurationError(
            f"{where}: {path.name!r} cannot be imported, since it is not a Python identifier."
        )
    return path


def _read(path_text: str) -> LocalPackage:
    path = Path(path_text)
    if not path.exists():
        raise ConfigurationError(
            f"{_OPTION}: {path} is not on the dispatcher's machine, where packages are read.",
            hint="Copy it there, or send the module with the electron: ct.DepsModule.",
        )
    for _ in range(_ATTEMPTS):
        with contextlib.suppress(FilesChanged):
            return _read_once(path)
        time.sleep(_PAUSE_S)
    raise ConfigurationError(
        f"{_OPTION}: {path} changes while it is read.",
        hint="Dispatch again when nothing writes to it.",
    )


def _read_once(path: Path) -> LocalPackage:
    try:
        files = tuple(sorted(_files(path)))
        _check(path, files)
        return _content(path.stem, files)
    except FileNotFoundError as exc:
        raise FilesChanged(str(exc)) from exc
    except OSError as exc:
        raise ConfigurationError(f"{_OPTION}: {path} could not be read: {exc}") from exc


def _check(path: Path, files: Sequence[PackageFile]) -> None:
    if not any(file.name.endswith(".py") for file in files):
        raise ConfigurationError(
            f"{_OPTION}: {path} has no Python file, or {IGNORE_FILE} excludes them all."
        )
    odd = [file.name for file in files if not _is_text(file.name)]
    if odd:
        raise ConfigurationError(
            f"{_OPTION}: {path} has a file whose name is not UTF-8: {odd[0]!r}.",
            hint=f"Rename it, or exclude it with a {IGNORE_FILE}.",
        )
    total = sum(file.size_bytes for file in files)
    if total > MAX_BYTES:
        largest = sorted(files, key=lambda file: file.size_bytes, reverse=True)
        shown = "".join(f"\n{e.size_bytes:>12,}  {e.name}" for e in largest[:_SHOWN_FILES])
        raise ConfigurationError(
            f"{_OPTION}: {path} has {total:,} bytes; the limit is {MAX_BYTES:,}. "
            f"Its largest files:{shown}",
            hint=f"Exclude unneeded files with a {IGNORE_FILE}, and keep data in S3.",
        )


# Every task reads its packages; the content is cached until one of the files has changed.
@lru_cache(maxsize=8)
def _content(name: str, files: tuple[PackageFile, ...]) -> LocalPackage:
    contents = tuple((file.name, read(file)) for file in files)
    digest = hashlib.sha256()
    for file_name, content in contents:
        digest.update(hashlib.sha256(file_name.encode()).digest())
        digest.update(hashlib.sha256(content).digest())
    return LocalPackage(name=name, digest=digest.hexdigest(), files=contents)


def _files(path: Path) -> list[PackageFile]:
    if not path.is_dir():
        return [module_file(path)]
    found = list(itertools.islice(package_files(path, _Selection(path).has), MAX_FILES + 1))
    if len(found) > MAX_FILES:
        raise ConfigurationError(
            f"{_OPTION}: {path} has more than {MAX_FILES:,} files.",
            hint=f"Exclude unneeded ones with a {IGNORE_FILE}, and keep data in S3.",
        )
    return found


class _Selection:
    """The files and folders of a package that go into an image."""

    def __init__(self, package: Path) -> None:
        self._package = package
        self._is_excluded = exclusion(package)

    def has(self, path: Path) -> bool:
        if _is_hidden(path.name) or self._is_excluded(path):
            return False
        return not path.is_symlink() or self._has_target(path)

    def _has_target(self, link: Path) -> bool:
        """Return whether a link leads into the package itself: files elsewhere may be secret."""
        try:
            target, package = link.resolve(), self._package.resolve()
        except (OSError, RuntimeError):
            # Links in a circle.
            return False
        if target.is_relative_to(package):
            inside = target.relative_to(package)
            hidden = any(map(_is_hidden, inside.parts))
            if not hidden and not self._is_excluded(self._package / inside):
                return True
        log.warning(
            "%s: %s is skipped: it is a link to %s, which is not part of the package.",
            *(_OPTION, link, target),
        )
        return False


def _is_text(name: str) -> bool:
    """Return whether a name is UTF-8; others are decoded to lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in _CACHES or name.endswith(_CACHE_SUFFIXES)
