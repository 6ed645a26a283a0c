"""This machine in the place of a container, for images that do not run here.

Byte code is the same on every processor: the dispatcher's Python makes it, if it is of the image's
version. It compiles packages, and runs nothing of them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member, archive, unpack
from covalent_lambda_container.files.streams import reader


class HostPython:
    """A folder as a container's file system, and this process's Python as its own.

    Parameters
    ----------
    root
        The folder. Arguments that begin with a slash are paths in it.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        redacted: Callable[[str], str] = str,
    ) -> str:
        """Run a Python program; return what it wrote to its standard output.

        Raises
        ------
        ImageBuildError
            When it fails.
        """
        program, *arguments = command
        assert program == "python3"
        inside = [str(self._at(part)) if part.startswith("/") else part for part in arguments]
        ended = subprocess.run(
            [sys.executable, *inside],
            env=dict(environment or {}),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if ended.returncode:
            raise ImageBuildError(
                f"Python ended with status {ended.returncode}:\n{redacted(ended.stderr)}"
            )
        return ended.stdout

    def put(self, members: Iterable[Member]) -> None:
        """Write files; their names are paths from the root."""
        unpack(reader(archive(members)), self._root)

    def get(self, path: str, folder: Path) -> None:
        """Copy the files below a folder to another one."""
        shutil.copytree(self._at(path), folder, dirs_exist_ok=True)

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")
