"""The folder of files that later builds reuse: shared by builds, emptied exclusively.

Only its owner can read it, since it contains private packages.
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
"""Seconds after which unfinished files are considered those of a killed process."""

SCRATCH: Final = "covalent-lambda-build-"
"""Prefix of folders with the unfinished files of builds."""

_LOCK: Final = ".lock"
_TAG: Final = "CACHEDIR.TAG"
_SIGNATURE: Final = "Signature: 8a477f597d28d172789f06886806bc55"
"""Of the Cache Directory Tagging Specification, so that backups leave the folder out."""
_OWN_TAG: Final = f"""{_SIGNATURE}
# This folder was created by covalent-lambda-container, which removes what it does not use.
"""
_EMPTYING_S: Final = 600.0
"""Removing files takes no longer; after this time, a build continues without the lock."""
_PRIVATE: Final = 0o700


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents, accessible only to their owner."""
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(mode=_PRIVATE, exist_ok=True)


def mark_used(path: Path) -> None:
    """Set the modification time of a file or folder, which records its last use."""
    os.utime(path)


def tag(cache: Path) -> None:
    """Mark a folder as one of ours, from which files may be removed; not another program's."""
    if not (cache / _TAG).exists():
        (cache / _TAG).write_text(_OWN_TAG, "utf-8")


def is_tagged(cache: Path) -> bool:
    """Return whether builds have used a folder; anything in another one is somebody else's."""
    try:
        return (cache / _TAG).read_text("utf-8", errors="replace") == _OWN_TAG
    except OSError:
        return False


@contextmanager
def using(cache: Path) -> Iterator[None]:
    """Use the folder: nothing is removed from it while the context is open.

    Parameters
    ----------
    cache
        The folder; created if it does not exist.
    """
    make_private(cache)
    tag(cache)
    file = cache / _LOCK

    def waiting(who: str) -> None:
        log.warning(
            "A build is waiting for %s, which holds %s to remove files from the option cache_dir.",
            *(who, file),
        )

    with locked(file, shared=True, patience_s=_EMPTYING_S, waiting=waiting) as held:
        if held is None:
            log.warning("The build continues although %s is still locked.", file)
        yield


@contextmanager
def emptying(cache: Path, wait: Callable[[], object]) -> Iterator[None]:
    """Lock the folder exclusively: builds that begin while the context is open wait for its end.

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
    """Turn the system's error for a full disk into an `ImageBuildError` with advice."""
    try:
        yield
    except OSError as exc:
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ImageBuildError(
            f"The image could not be built: {exc}.",
            hint=f"Free space in {cache} with 'covalent-lambda gc --local', or set the option "
            "cache_dir to another folder.",
        ) from exc


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """Provide a folder for unfinished files, on the cache's file system, while the context is open.

    This process locks it, so that `remove_leftovers` can distinguish it from folders of killed
    processes.
    """
    make_private(cache)
    unnamed = Path(tempfile.mkdtemp(prefix=f".{SCRATCH}", dir=cache))
    made = cache / unnamed.name.removeprefix(".")
    remove = functools.partial(shutil.rmtree, made, ignore_errors=True)
    # Builds run in threads that nobody waits for: their own clean-up may not run.
    atexit.register(remove)
    descriptor = os.open(unnamed, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Renamed only now, so that other processes never see it unlocked.
        unnamed.rename(made)
        yield made
    finally:
        remove()
        atexit.unregister(remove)
        os.close(descriptor)


def remove_leftovers(cache: Path) -> None:
    """Remove folders of `scratch` whose processes no longer run."""
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
