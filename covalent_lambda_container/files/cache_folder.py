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
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ConfigurationError, ImageBuildError
from covalent_lambda_container.files.locks import (
    locked,
    opened,
    owner_of,
    released,
    taken,
)

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
_REFUSALS: Final = (
    *(errno.EACCES, errno.EEXIST, errno.EIO, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR),
    *(errno.EPERM, errno.EROFS, errno.ESTALE),
)
"""What a system answers that cannot, or may not, write to a folder."""
_LOCKS: Final = "locks"
_OWN: Final = (
    *(_LOCK, _TAG, _LOCKS),
    *("byte-code", "images", "layers", "package-archives", "roots", "uv", "wheels"),
)
"""What builds create in the folder."""


def make_private(folder: Path) -> None:
    """Create a folder and its missing parents, accessible only to their owner.

    One in a folder that its owner shares with a group is for that group as well.
    """
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        mode = _mode_in(missing.parent)
        missing.mkdir(mode=mode, exist_ok=True)
        if mode != _PRIVATE:
            # Whatever the umask.
            missing.chmod(stat.S_IMODE(missing.stat().st_mode) | mode)


def _mode_in(folder: Path) -> int:
    """Return the mode of folders in a folder: those of a group if it is one that only they share.

    Packages may be private, whatever the mode of a folder that was there before.
    """
    mode = folder.stat().st_mode
    shared = mode & stat.S_IWGRP and not mode & stat.S_IWOTH
    return _PRIVATE | stat.S_IRWXG if shared else _PRIVATE


def check_owners(cache: Path) -> None:
    """Refuse a cache folder, or folders and files in it, that others may have put there.

    Whoever can write to it decides what is in images. Folders of earlier releases that everybody
    could read are made private.

    Raises
    ------
    ConfigurationError
        Somebody else's folder is where anybody may create one.
    """
    there = cache.stat()
    trusted = {os.geteuid(), 0}
    open_to_all = (there.st_mode | cache.parent.stat().st_mode) & stat.S_IWOTH
    if there.st_uid not in trusted and open_to_all:
        raise _foreign(cache, cache)
    for name in _OWN:
        inside = cache / name
        with contextlib.suppress(FileNotFoundError):
            found = inside.lstat()
            if found.st_uid not in trusted | {there.st_uid}:
                if there.st_mode & stat.S_IWOTH:
                    raise _foreign(inside, cache)
            elif found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode):
                too_open = stat.S_IMODE(found.st_mode) & ~_mode_in(cache) & 0o777
                if too_open:
                    inside.chmod(stat.S_IMODE(found.st_mode) & ~too_open)


def _foreign(found: Path, cache: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{found} belongs to user {owner_of(found)}, in a folder that all users of this machine "
        f"may write to: what is in it may be theirs. AWSLambdaContainerExecutor option "
        f"cache_dir={str(cache)!r}.",
        hint="Set cache_dir to a folder that only you may write to.",
    )


def mark_used(path: Path) -> None:
    """Set the modification time of a file or folder, which records its last use."""
    # It may be another user's, of a folder that a group shares.
    with contextlib.suppress(PermissionError):
        os.utime(path)


def tag(cache: Path) -> None:
    """Mark a folder as one of ours, from which files may be removed; not another program's.

    A full disk or a lost machine may have left a part of our mark.
    """
    file = cache / _TAG
    if not file.exists() or (not is_tagged(cache) and _OWN_TAG.startswith(_text(file))):
        file.write_text(_OWN_TAG, "utf-8")


def is_tagged(cache: Path) -> bool:
    """Return whether builds have used a folder; anything in another one is somebody else's."""
    try:
        return _text(cache / _TAG) == _OWN_TAG
    except OSError:
        return False


def _text(file: Path) -> str:
    """Return the beginning of a file, long enough to recognise our mark; zeros count as nothing.

    Some file systems leave zeros where a file was written just before the machine went down.
    """
    with file.open("rb") as opened:
        return opened.read(2 * len(_OWN_TAG)).decode("utf-8", "replace").strip("\0")


@contextmanager
def using(cache: Path) -> Iterator[None]:
    """Use the folder: nothing is removed from it while the context is open.

    Parameters
    ----------
    cache
        The folder; created if it does not exist.
    """
    make_private(cache)
    check_owners(cache)
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
    with opened(cache / _LOCK) as file:
        if not taken(file):
            wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        with released(file):
            yield


@contextmanager
def disk_errors_explained(cache: Path) -> Iterator[None]:
    """Turn errors of a disk that is full, or refuses files, into `ImageBuildError` with advice."""
    try:
        yield
    except OSError as exc:
        if _is_refused(exc, cache):
            raise ImageBuildError(
                f"The image could not be built: {exc}.",
                hint="Set the option cache_dir to a folder that the dispatcher may write to.",
            ) from exc
        if exc.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ImageBuildError(
            f"The image could not be built: {exc}.",
            hint=f"Free space in {cache} with 'covalent-lambda gc --local', or set the option "
            "cache_dir to another folder.",
        ) from exc


def _is_refused(error: OSError, cache: Path) -> bool:
    """Return whether the system refuses to write to a file of the cache folder."""
    refused = error.errno in _REFUSALS
    named = error.filename if isinstance(error.filename, str | Path) else ""
    return refused and Path(named).is_relative_to(cache)


@contextmanager
def scratch(cache: Path) -> Iterator[Path]:
    """Provide a folder for unfinished files, on the cache's file system, while the context is open.

    This process locks it, so that `remove_leftovers` can distinguish it from folders of killed
    processes.
    """
    make_private(cache)
    unnamed = Path(tempfile.mkdtemp(prefix=f".{SCRATCH}", dir=cache))
    made = cache / unnamed.name.removeprefix(".")
    remove = functools.partial(_remove_own, made, os.getpid())
    # Builds run in threads that nobody waits for: their own clean-up may not run.
    atexit.register(remove)
    descriptor = os.open(unnamed, os.O_RDONLY)
    try:
        taken(descriptor)
        # Renamed only now, so that other processes never see it unlocked.
        unnamed.rename(made)
        yield made
    finally:
        remove()
        atexit.unregister(remove)
        os.close(descriptor)


def _remove_own(folder: Path, owner: int) -> None:
    """Remove a folder, unless this is a fork of the process that owns it."""
    if os.getpid() == owner:
        shutil.rmtree(folder, ignore_errors=True)


def remove_leftovers(cache: Path) -> None:
    """Remove folders of `scratch` and locks of images whose processes no longer run."""
    oldest = time.time() - LONGEST_BUILD_S
    for file in (cache / _LOCKS).glob("*.lock"):
        with contextlib.suppress(OSError):
            if file.stat().st_mtime < oldest:
                with opened(file) as lock:
                    # Who waits for it sees that its file is gone, and creates another one.
                    if taken(lock):
                        file.unlink()
    for folder in (*cache.glob(f"{SCRATCH}*"), *cache.glob(f".{SCRATCH}*")):
        # Another process may be faster.
        with contextlib.suppress(FileNotFoundError):
            named = not folder.name.startswith(".")
            if (named and _is_abandoned(folder)) or folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)


def _is_abandoned(folder: Path) -> bool:
    """Return whether no process holds the lock on a folder; False where there are no locks."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
