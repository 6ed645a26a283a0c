"""Reads files that others may change meanwhile: what was checked is what is read.

A file may grow, become a pipe that nobody writes to, or a link to something secret, between the
check of its name and its opening. So it is opened without following links or waiting, from folder
to folder, and must still be what it was.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Final, NamedTuple

_OPENED: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
_SPARE_BYTES: Final = 1


class FilesChanged(Exception):
    """A file is not what it was when its folder was listed."""


class PackageFile(NamedTuple):
    """A plain file of a package, and its state, which changes when its content does.

    Parameters
    ----------
    name
        Path in an image: ``"mypkg/part/__init__.py"``.
    root
        Folder that it is opened from, without links.
    inside
        Path below `root`, without links.
    device, inode, size_bytes, modified_ns
        Its state.
    """

    name: str
    root: str
    inside: str
    device: int
    inode: int
    size_bytes: int
    modified_ns: int


def module_file(path: Path) -> PackageFile:
    """Return the file of a module."""
    target = path.resolve()
    return _file(path.name, target.parent, PurePath(target.name))


def package_files(folder: Path, is_part: Callable[[Path], bool]) -> Iterator[PackageFile]:
    """Yield the plain files of a package's folder, those that links lead to included.

    Parameters
    ----------
    is_part
        Whether a file, folder or link is part of the package.
    """
    root = folder.resolve()
    # No recursion: folders may be deeper than Python's stack.
    folders = [folder]
    while folders:
        for path in folders.pop().iterdir():
            if not is_part(path):
                continue
            if path.is_file():
                name = PurePath(folder.name, path.relative_to(folder)).as_posix()
                yield _file(name, root, _inside(path, folder, root))
            elif path.is_dir() and not path.is_symlink():
                folders.append(path)


def read(file: PackageFile) -> bytes:
    """Return the content of a file.

    Raises
    ------
    FilesChanged
        It has changed since it was listed.
    OSError
        It cannot be read.
    """
    *folders, name = PurePath(file.inside).parts
    folder = os.open(file.root, _OPENED | os.O_DIRECTORY)
    try:
        for part in folders:
            below = os.open(part, _OPENED | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = below
        descriptor = os.open(name, _OPENED, dir_fd=folder)
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb") as opened:
        if _state(os.fstat(descriptor)) != file[3:]:
            raise FilesChanged(file.name)
        content = opened.read(file.size_bytes + _SPARE_BYTES)
    if len(content) != file.size_bytes:
        raise FilesChanged(file.name)
    return content


def read_text(path: Path, most_bytes: int) -> str:
    """Return the text of a small file, which a link may lead to.

    Raises
    ------
    ValueError
        It is larger, is no plain file, or no UTF-8.
    """
    descriptor = os.open(path, _OPENED & ~os.O_NOFOLLOW)
    with os.fdopen(descriptor, "rb") as opened:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is no plain file")
        content = opened.read(most_bytes + _SPARE_BYTES)
    if len(content) > most_bytes:
        raise ValueError(f"it is larger than {most_bytes:,} bytes")
    return content.decode("utf-8")


def _inside(path: Path, folder: Path, root: Path) -> PurePath:
    if not path.is_symlink():
        return path.relative_to(folder)
    target = path.resolve()
    if not target.is_relative_to(root):
        raise FilesChanged(str(path))
    return target.relative_to(root)


def _file(name: str, root: Path, inside: PurePath) -> PackageFile:
    status = (root / inside).lstat()
    if not stat.S_ISREG(status.st_mode):
        raise FilesChanged(name)
    return PackageFile(name, str(root), str(inside), *_state(status))


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
