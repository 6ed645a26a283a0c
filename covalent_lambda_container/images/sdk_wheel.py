"""Wheels of Covalent's SDK without its server, which Covalent does not release."""

from __future__ import annotations

import logging
import shutil
import zlib
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Final
from zipfile import BadZipFile, ZipFile

from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from covalent_lambda_container.files.cache_folder import make_private, mark_used, scratch
from covalent_lambda_container.images.source_builds import (
    CA_FILE,
    CLIENT_FILE,
    FOLDER,
    put_certificates,
)
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.engine import CannotRun, Container, Engine
from covalent_lambda_container.ports.installer import Installer

log = logging.getLogger(__name__)

_PIP: Final = ("python3", "-m", "pip")
_SDK_ONLY: Final = {"COVALENT_SDK_ONLY": "1"}
"""Variables that make Covalent's source build the SDK without the server."""
_PIP_VARIABLES: Final = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
}


class SdkWheels:
    """Wheels of Covalent's SDK on this machine.

    Parameters
    ----------
    engine
        Engine that builds them, if it runs containers.
    wheels
        Builds them on this machine otherwise.
    cache
        Folder of finished wheels.
    """

    def __init__(self, engine: Engine, wheels: Installer, cache: Path) -> None:
        self._engine = engine
        self._wheels = wheels
        self._cache = cache

    def find_or_build(
        self, spec: ImageSpec, system: Callable[[], str], settings: IndexSettings
    ) -> Path:
        """Return the wheel for an image; build it unless this machine has it.

        Parameters
        ----------
        spec
            The image's spec.
        system
            Returns an image with the system to build on; called only if the wheel is built.
        settings
            The index settings.

        Raises
        ------
        CannotRun
            There are no containers, and this machine has another version of Covalent.
        ImageBuildError
            It cannot be built.
        """
        folder = self._cache / f"covalent-sdk-{spec.covalent_version}-{spec.python_version}"
        if folder.exists() and not _is_sound(folder):
            log.warning("%s was damaged: it is removed, and made again.", folder)
            shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            make_private(self._cache)
            with scratch(self._cache) as unfinished:
                made = unfinished / "wheels"
                if self._engine.runs_containers:
                    self._build_in_container(spec, system(), settings, made)
                else:
                    self._build_here(spec, settings, made)
                try:
                    made.replace(folder)
                except OSError:
                    # Another process may have been faster.
                    if not folder.exists():
                        raise
        mark_used(folder)
        (wheel,) = folder.glob("*.whl")
        return wheel

    def _build_in_container(
        self, spec: ImageSpec, system: str, settings: IndexSettings, folder: Path
    ) -> None:
        with self._engine.container(system, spec.architecture) as container:
            command = [*_PIP, "wheel", "--quiet", "--no-deps", "--no-binary", "covalent"]
            command += ["--wheel-dir", f"/{FOLDER}/wheels", f"covalent=={spec.covalent_version}"]
            _run(container, command, settings, **_SDK_ONLY)
            container.get(f"/{FOLDER}/wheels/.", folder)

    def _build_here(self, spec: ImageSpec, settings: IndexSettings, folder: Path) -> None:
        """Build it on this machine, which has the same version of Covalent: no other code runs."""
        here = metadata.version("covalent")
        if here != spec.covalent_version:
            raise CannotRun(
                f"The task needs Covalent {spec.covalent_version}, which this machine, with "
                f"Covalent {here}, cannot build without a container."
            )
        requirement = f"covalent=={here}"
        self._wheels.build_wheel(requirement, folder, settings=settings, variables=_SDK_ONLY)


def _is_sound(folder: Path) -> bool:
    """Return whether a folder has one wheel, of which every file is what its checksum says."""
    try:
        (wheel,) = folder.glob("*.whl")
        with ZipFile(wheel) as opened:
            return opened.testzip() is None
    # What zlib and the format's reader raise for other bytes.
    except (BadZipFile, ValueError, OSError, EOFError, zlib.error, NotImplementedError):
        return False


def _run(
    container: Container, command: list[str], settings: IndexSettings, **variables: str
) -> None:
    """Run pip in a container with the index settings."""
    put_certificates(container, settings)
    configured = settings.pip_environment(f"/{CA_FILE}", f"/{CLIENT_FILE}")
    environment = _PIP_VARIABLES | configured | variables
    container.run(command, environment=environment, redacted=settings.redacted)


def required_by(wheel: Path) -> list[str]:
    """Return the requirements of Covalent's SDK, without extras and cloudpickle."""
    with ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        parts, _ = parse_email(opened.read(name))
    found = [Requirement(line) for line in parts.get("requires_dist", [])]
    return [
        str(each)
        for each in found
        if canonicalize_name(each.name) != "cloudpickle" and "extra" not in str(each.marker)
    ]
