"""An installer of packages into a folder, from wheels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

from covalent_lambda_container.packages.index_settings import IndexSettings

OVERRIDES: Final = "overrides.txt"
"""File name of requirements that override those of all packages."""


class WheelsMissing(Exception):
    """Packages have no wheels, and might be built; the message is the installer's output."""


class Installer(Protocol):
    """Installs distributions for an image into a folder of this machine."""

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

        `requirements` maps file names to texts: ``requirements.txt``, the files it
        refers to, and optionally `OVERRIDES`.

        Raises
        ------
        WheelsMissing
        """

    def build_wheel(
        self,
        requirement: str,
        folder: Path,
        *,
        settings: IndexSettings,
        variables: Mapping[str, str],
    ) -> None:
        """Build the wheel of a pinned package from its source, on this machine, into a folder."""

    def program(
        self,
        scratch: Path,
        *,
        settings: IndexSettings,
        python_version: str,
        architecture: str,
        glibc: str,
    ) -> Path:
        """Return uv's executable for Linux on a processor, to be run in a container."""
