"""The dispatcher's Python in place of a container, for images that this machine cannot run.

Byte code does not depend on the processor: a Python of the image's minor version compiles it. It
compiles packages and never imports them.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.programs import run_program
from covalent_lambda_container.files.archives import Member, archive, unpack
from covalent_lambda_container.files.streams import reader
from covalent_lambda_container.ports.engine import CommandFailed


class HostPython:
    """A container whose file system is a folder and whose Python is that of this process.

    Parameters
    ----------
    root
        The folder. Arguments that begin with a slash are paths inside it.
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
        """Run a Python program and return what it writes.

        Raises
        ------
        CommandFailed
            When it exits with a status other than 0.
        """
        program, *arguments = command
        assert program == "python3"
        inside = [str(self._at(part)) if part.startswith("/") else part for part in arguments]
        status, output = run_program([sys.executable, *inside], environment=environment or {})
        if status:
            said = redacted(output)
            raise CommandFailed(f"Python exited with status {status}:\n{said}", said)
        return output

    def put(self, members: Iterable[Member]) -> None:
        """Write files; their names are paths from the root."""
        unpack(reader(cancellable.checked(archive(members))), self._root)

    def get(self, path: str, folder: Path) -> None:
        """Copy the files below a folder to another one."""
        shutil.copytree(self._at(path), folder, dirs_exist_ok=True)

    def _at(self, path: str) -> Path:
        return self._root / path.lstrip("/")
