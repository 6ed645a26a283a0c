"""What installs packages into a folder, from wheels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from covalent_lambda_container.packages.index_settings import IndexSettings


class WheelsMissing(Exception):
    """The requirements cannot be met with wheels alone; its text is what the installer says."""


class Installer(Protocol):
    """Installs distributions for an image on this machine, from wheels."""

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
        """Install what a requirements file names into a folder.

        The file is ``requirements.txt`` among texts by name; it may refer to the others.

        Raises
        ------
        WheelsMissing
        """
