"""Locks of files shared by several processes, and several users, of a machine."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import logging
import os
import pwd
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from covalent_lambda_container.concurrency import cancellable

log = logging.getLogger(__name__)

_POLL_S: Final = 0.1
_SILENT_S: Final = 5.0
"""Waits shorter than this are not reported."""
_UNSUPPORTED: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
"""What file systems without locks answer, such as network ones that are mounted so."""


@contextmanager
def locked(
    path: Path,
    *,
    shared: bool = False,
    patience_s: float,
    waiting: Callable[[str], object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = cancellable.sleep,
) -> Iterator[IO[bytes] | None]:
    """Hold the lock of a file while the context is open, or continue without it after a time.

    The operating system releases a lock with the process that holds it, however that ends. One
    that is held for long belongs to a process that hangs, perhaps another user's. Whoever holds
    the lock may remove the file. On a file system without locks, a file counts as locked at once.

    Parameters
    ----------
    path
        The file; created when it is missing.
    shared
        Whether others may hold the lock in the same way at the same time.
    patience_s
        Seconds to wait for the lock.
    waiting
        Called once, with who holds the lock, when others hold it for more than a few seconds.
    clock, sleep
        The time in seconds, and how to let it pass.

    Yields
    ------
    file or None
        The locked file; None without the lock.

    Raises
    ------
    OSError
        When the file cannot be opened.
    Cancelled
        When the work is cancelled that waits for the lock.
    """
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    begun = clock()
    is_reported = False
    while True:
        with opened(path) as file:
            while not taken(file, kind):
                waited_s = clock() - begun
                if waited_s >= patience_s:
                    yield None
                    return
                if waited_s >= _SILENT_S and not is_reported:
                    is_reported = True
                    waiting(holder(path))
                sleep(_POLL_S)
            # Whoever held it may have removed the file, and others lock the one that came after.
            if _is_at(path, file):
                with released(file):
                    yield file
                return


def holder(path: Path) -> str:
    """Describe who holds the lock of a file, as well as this system can say."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return "another process"
    for line in _system_locks():
        # "1: FLOCK ADVISORY WRITE 1234 08:01:5678 0 EOF" (proc_locks(5)); "->" marks who waits.
        fields = line.split()
        if "->" not in fields and fields[1] == "FLOCK" and fields[5].endswith(f":{status.st_ino}"):
            return f"process {fields[4]} of user {owner_of(Path('/proc', fields[4]))}"
    return f"another process; the file belongs to user {owner_of(path)}"


def taken(file: IO[bytes] | int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock an open file unless others hold its lock; return whether this process may go on.

    On a file system without locks it may, since nobody can hold one there.
    """
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as exc:
        if exc.errno not in _UNSUPPORTED:
            raise
        _report_without_locks(exc.errno)
    return True


@contextmanager
def released(file: IO[bytes]) -> Iterator[None]:
    """Release the lock of an open file at the end of the context.

    Closing it would not do: a process that was forked meanwhile has the file open as well, and with
    it the lock. That process itself releases nothing.
    """
    owner = os.getpid()
    try:
        yield
    finally:
        if os.getpid() == owner:
            with contextlib.suppress(OSError):
                fcntl.flock(file, fcntl.LOCK_UN)


def opened(path: Path) -> IO[bytes]:
    """Open a lock file, which is created when it is missing.

    Users outside of its group cannot lock it. Another user's is opened for reading, which is enough
    to lock it. In a folder that others may
    write to, there may be anything: links are not followed, and nothing waits for a pipe's reader.

    Raises
    ------
    OSError
        It cannot be opened, or is no plain file.
    """
    flags = os.O_CREAT | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, os.O_RDWR | flags, 0o660)
    except PermissionError:
        descriptor = os.open(path, os.O_RDONLY | flags & ~os.O_CREAT)
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "a lock must be a plain file", str(path))
    return file


@functools.cache
def _report_without_locks(number: int) -> None:
    log.warning(
        "The file system of the option cache_dir has no locks (%s): processes that use it at the "
        "same time may build the same image, and 'covalent-lambda gc --local' does not wait for "
        "them.",
        os.strerror(number),
    )


def _is_at(path: Path, file: IO[bytes]) -> bool:
    """Return whether an open file is the one that a path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _system_locks() -> list[str]:
    try:
        return Path("/proc/locks").read_text().splitlines()
    except OSError:  # not Linux
        return []


def owner_of(path: Path) -> str:
    """Return the name of the user that a file or folder belongs to, or the user's number."""
    try:
        number = path.lstat().st_uid
    except OSError:
        return "unknown"
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
