"""The folder of what serves later builds: used by many at once, emptied by one alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_BUILD_S: Final = 24 * 3600
"""Seconds. Unfinished files older than this were left by a process that was killed."""

SCRATCH: Final = "covalent-lambda-build-"
"""Prefix of the names of the folders in which builds run."""

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
