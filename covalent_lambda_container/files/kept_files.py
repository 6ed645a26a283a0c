"""Files in the cache that say by their names what they hold, so that damage is seen before use.

A disk that fails or was full, or a machine that lost power, leaves files that are shorter, empty or
other than they were. A checksum is enough: nobody else may write to the cache.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

from isal import isal_zlib

from covalent_lambda_container.files.archives import pieces
from covalent_lambda_container.files.cache_folder import make_private, mark_used

log = logging.getLogger(__name__)


def find_kept(folder: Path, key: str) -> Path | None:
    """Return the file that was kept for a key, or None; one that was damaged is removed."""
    for file in _files_of(folder, key):
        # Another process may remove it.
        with contextlib.suppress(FileNotFoundError):
            if file.name == _name(file, key):
                mark_used(file)
                return file
            log.warning("%s was damaged: it is removed, and made again.", file)
            file.unlink()
    return None


def keep(made: Path, folder: Path, key: str) -> Path:
    """Keep a file of the same file system for a key; return where it is from now on.

    Other processes see the whole file or none.
    """
    make_private(folder)
    return made.replace(folder / _name(made, key))


def _files_of(folder: Path, key: str) -> list[Path]:
    # A pattern would be compiled for each key, and stay in memory.
    try:
        return sorted(each for each in folder.iterdir() if each.name.startswith(f"{key}-"))
    except FileNotFoundError:
        return []


def _name(file: Path, key: str) -> str:
    # ISA-L's takes 10 ms for all of NumPy, pandas and SciPy; a SHA-256 takes 200 ms and more.
    checksum, size = 0, 0
    for piece in pieces([file]):
        checksum = isal_zlib.crc32(piece, checksum)
        size += len(piece)
    return f"{key}-{size}-{checksum:08x}"
