"""Locks of files shared by several processes, and several users, of a machine."""

from __future__ import annotations

import fcntl
import os
import pwd
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from covalent_lambda_container.concurrency import cancellable

_POLL_S: Final = 0.1
_SILENT_S: Final = 5.0
"""Waits shorter than this are not reported."""


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
    the lock may remove the file.

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
        with path.open("ab") as file:
            while not _taken(file, kind):
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
            return f"process {fields[4]} of user {_owner(Path('/proc', fields[4]))}"
    return f"another process; the file belongs to user {_owner(path)}"


def _taken(file: IO[bytes], kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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


def _owner(path: Path) -> str:
    try:
        number = path.stat().st_uid
    except OSError:
        return "unknown"
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
