"""The folder that tasks may write to: empty before each task."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterable

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
    mode
        Permissions of the folder itself. Default: the present ones.

    Attributes
    ----------
    path, kept, mode
        The parameters.
    work
        Empty folder in it, the next task's working directory; replaced by each `renew`.
    """

    def __init__(
        self, path: str, kept: Iterable[str] | None = None, mode: int | None = None
    ) -> None:
        self.path = path
        self.kept = frozenset(_strangers(path) if kept is None else kept)
        self.mode = stat.S_IMODE(os.stat(path).st_mode) if mode is None else mode
        self.work = path

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point libraries to folders here."""
        return {name: f"{self.path}/{folder}" for name, folder in _WRITABLE_DIRECTORIES.items()}

    def renew(self) -> None:
        """Remove everything that tasks have left, and create the next task's folders."""
        _allow(self.path)
        self._reset()
        for entry in list(os.scandir(self.path)):
            if entry.name in self.kept:
                continue
            self._remove(entry)
        # Libraries create the folders below it.
        os.mkdir(f"{self.path}/{_HOME}")
        self.work = tempfile.mkdtemp(prefix="task-", dir=self.path)

    def _reset(self) -> None:
        """Give the folder itself the permissions and attributes that it had at first.

        A default ACL would apply to all folders that are created in it.
        """
        with contextlib.suppress(OSError, AttributeError):
            for name in os.listxattr(self.path):
                with contextlib.suppress(OSError):
                    os.removexattr(self.path, name)
        with contextlib.suppress(OSError):
            if stat.S_IMODE(os.stat(self.path).st_mode) != self.mode:
                os.chmod(self.path, self.mode)

    def _remove(self, entry: os.DirEntry[str]) -> None:
        """Remove an entry; what cannot be removed is left.

        Folders in folders are moved here one by one: they may be deeper than paths are long, or
        than calls can be nested.
        """
        if not entry.is_dir(follow_symlinks=False):
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
            return
        folders = [entry.path]
        while folders:
            folder = folders.pop()
            with contextlib.suppress(OSError):
                _allow(folder)
                for inner in list(os.scandir(folder)):
                    if inner.is_dir(follow_symlinks=False):
                        _allow(inner.path)
                        folders.append(f"{self.path}/removed-{os.urandom(8).hex()}")
                        os.rename(inner.path, folders[-1])
                    else:
                        os.unlink(inner.path)
                os.rmdir(folder)


def _strangers(path: str) -> list[str]:
    """Return the names in a folder that do not belong to tasks.

    Lambda restarts a handler that has crashed or timed out without emptying ``/tmp`` ("Lambda
    execution environment lifecycle", developer guide, read 2026-11): files in it then were left by
    tasks.
    """
    names = os.listdir(path)
    return [] if _HOME in names else names


def _allow(folder: str) -> None:
    """Let this user do anything in a folder, whatever its permissions were."""
    mode = stat.S_IMODE(os.stat(folder).st_mode)
    if mode & stat.S_IRWXU != stat.S_IRWXU:
        with contextlib.suppress(OSError):
            os.chmod(folder, mode | stat.S_IRWXU)
