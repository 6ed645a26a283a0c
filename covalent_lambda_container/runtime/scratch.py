"""The folder that tasks may write to: empty before each task."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable
from typing import Any

_HOME = "home"

# Lambda's file system is read-only except for /tmp, and its HOME does not exist.
_WRITABLE_DIRECTORIES = {
    "HOME": _HOME,
    "XDG_CACHE_HOME": f"{_HOME}/.cache",
    "MPLCONFIGDIR": f"{_HOME}/.config/matplotlib",
    "NUMBA_CACHE_DIR": f"{_HOME}/.cache/numba",
    "COVALENT_CONFIG_DIR": f"{_HOME}/.config/covalent",
}


class Scratch:
    """A folder for temporary files, ``/tmp`` in Lambda.

    Parameters
    ----------
    path
        The folder; it exists.
    kept
        Names of files in it that do not belong to tasks, such as Lambda's own. Default: all present
        ones.

    Attributes
    ----------
    path, kept
        The parameters.
    work
        Empty folder in it, the next task's working directory; replaced by each `renew`.
    """

    def __init__(self, path: str, kept: Iterable[str] | None = None) -> None:
        self.path = path
        self.kept = frozenset(_strangers(path) if kept is None else kept)

        self.work = path

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point libraries to folders here."""
        return {name: f"{self.path}/{folder}" for name, folder in _WRITABLE_DIRECTORIES.items()}

    def renew(self) -> None:
        """Remove everything that tasks have left, and create the next task's folders."""
        for entry in list(os.scandir(self.path)):
            if entry.name in self.kept:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, onerror=_allow_and_repeat)
            else:
                with contextlib.suppress(OSError):
                    os.unlink(entry.path)
        # Libraries create the folders below it.
        os.mkdir(f"{self.path}/{_HOME}")
        self.work = tempfile.mkdtemp(prefix="task-", dir=self.path)


def _strangers(path: str) -> list[str]:
    """Return the names in a folder that do not belong to tasks.

    Lambda restarts a handler that has crashed or timed out without emptying ``/tmp`` ("Lambda
    execution environment lifecycle", developer guide, read 2026-11): files in it then were left by
    tasks.
    """
    names = os.listdir(path)
    return [] if _HOME in names else names


def _allow_and_repeat(function: Any, path: str, _: Any) -> None:
    """Remove a file that its folder's permissions protect."""
    with contextlib.suppress(OSError):
        os.chmod(os.path.dirname(path), stat.S_IRWXU)
        if function in (os.open, os.scandir, os.lstat) and not os.path.islink(path):
            os.chmod(path, stat.S_IRWXU)
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)
