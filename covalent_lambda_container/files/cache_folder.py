"""The folder of what serves later builds: used by many at once, emptied by one alone.

Its content is its owner's alone, since private packages are in it.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import functools
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.locks import locked

log = logging.getLogger(__name__)

LONGEST_BUILD_S: Final = 24 * 3600
"""Seconds. Unfinished files older than this were left by a process that was killed."""

SCRATCH: Final = "covalent-lambda-build-"
"""How the names of the folders begin that hold the unfinished files of builds."""

_LOCK: Final = ".lock"
_EMPTYING_S: Final = 600.0
"""Nobody takes longer to remove files; a build then goes on without the lock."""
_PRIVATE: Final = 0o700


def make_private(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for their owner alone."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=_PRIVATE, exist_ok=True)


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
    make_private(cache)
    file = cache / _LOCK

    def waiting(who: str) -> None:
        log.warning(
            "A build waits for %s, which holds %s to remove files from the option cache_dir.",
            *(who, file),
        )

    with locked(file, shared=True, patience_s=_EMPTYING_S, waiting=waiting) as held:
        if held is None:
            log.warning("The build goes on although %s is still locked.", file)
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
    make_private(cache)
    # Closing the file releases the lock, even if this process is killed.
    with (cache / _LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def full_disk_explained(cache: Path) -> Iterator[None]:
    """Turn the system's error of a full disk into an `ImageBuildError` that says what helps."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ImageBuildError(
            f"The image could not be built: {exc}.",
            hint=f"Make room in {cache}, with 'covalent-lambda gc --local', or name another folder "
            "by the option cache_dir.",
        ) from exc


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """Have a folder for unfinished files, on the cache's file system, while the context is open.

    It is locked by this process, so that `remove_leftovers` knows it from one that a killed process
    has left.
    """
    make_private(cache)
    unnamed = Path(tempfile.mkdtemp(prefix=f".{SCRATCH}", dir=cache))
    made = cache / unnamed.name.removeprefix(".")
    remove = functools.partial(shutil.rmtree, made, ignore_errors=True)
    # Builds run in threads that nobody waits for: their own clean-up may not be reached.
    atexit.register(remove)
    descriptor = os.open(unnamed, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # It gets its name only now: whoever sees it sees it locked.
        unnamed.rename(made)
        yield made
    finally:
        remove()
        atexit.unregister(remove)
        os.close(descriptor)


def remove_leftovers(cache: Path) -> None:
    """Remove the folders of `scratch` that processes have left which no longer run."""
    oldest = time.time() - LONGEST_BUILD_S
    for folder in (*cache.glob(f"{SCRATCH}*"), *cache.glob(f".{SCRATCH}*")):
        # Another process may be faster.
        with contextlib.suppress(FileNotFoundError):
            named = not folder.name.startswith(".")
            if (named and _is_abandoned(folder)) or folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Return whether no process holds the lock on a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True
