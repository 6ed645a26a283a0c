"""Installs distributions for an image into a folder of this machine, with uv and only from wheels.

No code of a distribution runs here: it would have the dispatcher's permissions, on a system other
than the image's.
"""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Final

import uv

from covalent_lambda_container.concurrency.programs import run_program
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.cache_folder import make_private, mark_used
from covalent_lambda_container.packages.failure_reasons import needs_other_python
from covalent_lambda_container.packages.index_settings import (
    IndexSettings,
    without_local_sources,
)
from covalent_lambda_container.packages.install_failures import not_reached, unsatisfiable
from covalent_lambda_container.packages.installer_output import (
    UNWRAPPED,
    names_to_build,
    shortened,
)
from covalent_lambda_container.packages.package_indexes import PROJECT, bound_to_indexes
from covalent_lambda_container.packages.wheel_platforms import MACHINES, platform_name
from covalent_lambda_container.ports.installer import OVERRIDES, WheelsMissing

_INSTALL: Final = (
    *("pip", "install", "--no-config", "--no-python-downloads", "--no-progress"),
    *("--color", "never", "--no-compile-bytecode"),
)
_UNSATISFIABLE: Final = 1
"""uv's exit status if requirements cannot be satisfied; others mean that it could not find out
(uv's reference, "Exit codes", read 2026-11)."""


class UvInstaller:
    """Installs wheels.

    Parameters
    ----------
    cache
        Folder for uv's cache; on the same file system as the targets, so that uv can link files.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def install(
        self,
        requirements: Mapping[str, str],
        target: Path,
        scratch: Path,
        *,
        settings: IndexSettings,
        python_version: str,
        architecture: str,
        glibc: str,
        options: Sequence[str] = (),
    ) -> None:
        """Install the packages of a requirements file into a folder.

        Parameters
        ----------
        requirements
            Texts of ``requirements.txt`` and of the files it refers to, by name.
        target
            The folder; created if missing.
        scratch
            Folder for files that uv reads, outside the target.
        settings
            How to reach the package indexes.
        python_version, architecture, glibc
            The platform: ``"3.11"``, ``"arm64"``, ``"2.34"``.
        options
            Further options of ``uv pip install``.

        Raises
        ------
        WheelsMissing
            Packages have no wheels, and might be built.
        ImageBuildError
            The requirements cannot be satisfied, or uv failed for another reason; the message has
            the reason and uv's output.
        """
        make_private(self._cache)
        command = [
            *(uv.find_uv_bin(), *_INSTALL, "--no-build"),
            # pip chooses the best version of all indexes: a public index could supply a newer
            # version of a private package, even if just the private index's password is wrong.
            *("--index-strategy", "first-index"),
            *("--cache-dir", str(self._cache)),
            *("--python", sys.executable, "--python-version", python_version),
            *("--python-platform", platform_name(architecture, glibc)),
            *("--target", str(target), *options),
        ]
        texts, bound = bound_to_indexes(requirements, settings)
        whole = [*command, *_written(texts, scratch)]
        try:
            _run(whole, bound, scratch)
        except _Unsatisfiable as exc:
            newest = functools.partial(_newest, command, settings, scratch)
            self._without_mirrors(whole, bound, scratch, str(exc), newest)
        mark_used(self._cache)

    def build_wheel(
        self,
        requirement: str,
        folder: Path,
        *,
        settings: IndexSettings,
        variables: Mapping[str, str],
    ) -> None:
        """Build the wheel of a pinned package from its source; its code runs on this machine.

        Parameters
        ----------
        requirement
            Name and version: ``"covalent==0.240.0"``.
        folder
            Folder for the wheel; it must not exist.
        settings
            How to reach the package indexes.
        variables
            Further variables of the build's environment.

        Raises
        ------
        ImageBuildError
            It cannot be built; the message has uv's output.
        """
        name = requirement.partition("==")[0]
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            scratch = Path(made)
            command = [
                *(uv.find_uv_bin(), *_INSTALL, "--no-deps"),
                *("--index-strategy", "first-index", "--no-binary", name),
                # Not the usual cache: it may have a wheel that was built with other variables.
                *("--cache-dir", str(scratch / "cache"), "--python", sys.executable),
                *("--target", str(scratch / "installed"), requirement),
            ]
            try:
                # The build must not import modules from the dispatcher's path.
                _run(command, settings, scratch, {**variables, "PYTHONPATH": ""})
            except _Unsatisfiable as exc:
                raise ImageBuildError(
                    f"{requirement} could not be built from source.\n{shortened(str(exc))}"
                ) from exc
            folder.mkdir()
            # uv caches wheels that it has built.
            for wheel in (scratch / "cache").rglob(f"{name}-*.whl"):
                wheel.replace(folder / wheel.name)

    def program(
        self,
        scratch: Path,
        *,
        settings: IndexSettings,
        python_version: str,
        architecture: str,
        glibc: str,
    ) -> Path:
        """Return uv's executable for Linux on a processor, to be run in a container.

        It is this machine's own if that runs there: no index needs to have it.

        Parameters
        ----------
        scratch
            Folder for an executable from an index.
        Raises
        ------
        ImageBuildError
            No index has it.
        """
        if sys.platform == "linux" and platform.machine() == MACHINES[architecture]:
            return Path(uv.find_uv_bin())
        target = scratch / "uv-for-container"
        self.install(
            {"requirements.txt": f"uv=={metadata.version('uv')}\n"},
            target,
            scratch,
            # Those are of the packages of a lock, and of no others.
            settings=replace(settings, package_indexes=()),
            python_version=python_version,
            architecture=architecture,
            glibc=glibc,
            options=("--no-deps",),
        )
        return target / "bin" / "uv"

    def _without_mirrors(
        self,
        command: list[str],
        settings: IndexSettings,
        scratch: Path,
        said: str,
        newest: Callable[[str], str],
    ) -> None:
        """Retry without mirrors on this machine, which may lack a version; else raise the reason.

        `said` is uv's output from the first attempt; `newest` returns a package's newest version.
        """
        shared = settings.without_local_mirrors()
        if shared != settings:
            try:
                _run(command, shared, scratch)
            except _Unsatisfiable as exc:
                said = said if names_to_build(said) else str(exc)
            else:
                return
        names = names_to_build(said)
        why = _python_excluded(command, shared, scratch, names) if names else ""
        if names and not why:
            raise WheelsMissing(said)
        raise unsatisfiable(why or said, newest)


class _Unsatisfiable(Exception):
    """uv cannot satisfy the requirements; the message is its output."""


def _python_excluded(
    command: list[str], settings: IndexSettings, scratch: Path, names: Sequence[str]
) -> str:
    """Return uv's words if packages without wheels exclude the image's Python, or ``""``.

    What needs another Python is not worth a build. uv knows from its cache, without network.
    """
    remote = without_local_sources(settings)
    if remote is None:
        return ""
    query = [part for part in command if part not in ("--no-build", "--refresh")]
    query += ["--dry-run", "--offline", "--only-binary", ":all:"]
    query += [option for name in names for option in ("--no-binary", name)]
    try:
        _run(query, remote, scratch)
    except _Unsatisfiable as exc:
        return str(exc) if needs_other_python(str(exc)) else ""
    except ImageBuildError:
        pass
    return ""


def _written(texts: Mapping[str, str], folder: Path) -> list[str]:
    """Write requirements files into a folder; return uv's options that refer to them."""
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    options = ["--requirements", "requirements.txt"]
    options += ["--overrides", OVERRIDES] if OVERRIDES in texts else []
    return options + (["--requirements", PROJECT] if PROJECT in texts else [])


def _newest(command: list[str], settings: IndexSettings, scratch: Path, name: str) -> str:
    """Return the newest version of a package in the index that it would come from, or ``""``."""
    folder = scratch / "newest"
    shared = settings.without_local_mirrors()
    texts, bound = bound_to_indexes({"requirements.txt": f"{name}\n"}, shared)
    query = [*command, *_written(texts, folder)]
    try:
        said = _run([*query, "--dry-run", "--no-deps"], bound, folder)
    except (_Unsatisfiable, ImageBuildError):
        return ""
    match = re.search(rf"^ \+ {re.escape(name)}==(\S+)", said, re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


def _run(
    command: list[str],
    settings: IndexSettings,
    scratch: Path,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> str:
    ca_file = scratch / "ca-bundle.crt"
    if settings.ca_bundle is not None:
        ca_file.write_bytes(settings.ca_bundle)
    environment = {**os.environ, **settings.uv_environment(str(ca_file)), **UNWRAPPED, **variables}
    status, output = run_program(command, environment=environment, folder=scratch)
    said = settings.redacted(output.strip())
    if status == _UNSATISFIABLE:
        raise _Unsatisfiable(said)
    if status != 0:
        raise not_reached(said)
    return said
