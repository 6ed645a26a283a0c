"""The folder of what serves later builds: used by many at once, emptied by one alone."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_BUILD_S: Final = 24 * 3600
"""Seconds. Unfinished files older than this were left by a process that was killed."""

SCRATCH: Final = "covalent-lambda-build-"
"""How the names of the folders begin that hold the unfinished files of builds."""

_LOCK: Final = ".lock"


def mark_used(path: Path) -> None:
    """Set the modification time of a file or folder, which says when it was last used."""
    os.utime(path)


@contextmanager
def using(cache: Path) -> Iterator[None]:
    """Use what is in the folder: nothing is removed from it while the context is open.

    Parameters
    ----------
    cache
        The folder; created if it does not exist.
    """
    with _locked(cache, fcntl.LOCK_SH):
        yield


@contextmanager
def emptying(cache: Path, wait: Callable[[], object]) -> Iterator[None]:
    """Have the folder exclusively: builds that begin while the context is open wait for its end.

    Parameters
    ----------
    cache
        The folder; created if it does not exist.
    wait
        Called once, before waiting for running builds.
    """
    with _locked(cache, fcntl.LOCK_EX, wait):
        yield


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """Have a folder for unfinished files, on the cache's file system, while the context is open.

    Its lock goes with this process, so that `remove_leftovers` knows it from one that a killed
    process has left.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=cache) as name:
        folder = Path(name)
        unlocked = folder / f"{_LOCK}.new"
        with unlocked.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            unlocked.rename(folder / _LOCK)
            yield folder


def remove_leftovers(cache: Path) -> None:
    """Remove the folders of `scratch` that processes have left which no longer run."""
    oldest = time.time() - LONGEST_BUILD_S
    for folder in cache.glob(f"{SCRATCH}*"):
        # Another process may be faster.
        with contextlib.suppress(FileNotFoundError):
            if _is_abandoned(folder / _LOCK) or folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(lock: Path) -> bool:
    """Return whether a lock's file is there, and no process holds the lock."""
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, FileNotFoundError):
        return False
    return True


@contextmanager
def _locked(cache: Path, kind: int, wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    # Closing the file releases the lock, even if this process is killed.
    with (cache / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(file, kind)
        yield
