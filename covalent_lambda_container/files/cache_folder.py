"""The folder of what serves later builds: used by many at once, emptied by one alone."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

LONGEST_BUILD_S: Final = 24 * 3600
"""What is older and unfinished was left by a process that was killed."""

SCRATCH: Final = "covalent-lambda-build-"
"""How the names of the folders begin in which builds are under way."""

_LOCK: Final = ".lock"


def mark_used(path: Path) -> None:
    """Have a file or a folder bear the time of its last use: what was long not used can go."""
    os.utime(path)


@contextmanager
def using(cache: Path) -> Iterator[None]:
    """Use what is in the folder: nothing goes from there while the context is open.

    Parameters
    ----------
    cache
        The folder; made when it is missing.
    """
    with _locked(cache, fcntl.LOCK_SH):
        yield


@contextmanager
def emptying(cache: Path, wait: Callable[[], object]) -> Iterator[None]:
    """Be alone with what is in the folder: builds that begin meanwhile wait for the end.

    Parameters
    ----------
    cache
        The folder; made when it is missing.
    wait
        Called once, before waiting for builds that are under way.
    """
    with _locked(cache, fcntl.LOCK_EX, wait):
        yield


@contextmanager
def _locked(cache: Path, kind: int, wait: Callable[[], object] = lambda: None) -> Iterator[None]:
    cache.mkdir(parents=True, exist_ok=True)
    # The lock goes with the file: also if this process is killed.
    with (cache / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(file, kind)
        yield
