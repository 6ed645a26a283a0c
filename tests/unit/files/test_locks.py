"""Locks of files: who waits, for whom, and for how long."""

from __future__ import annotations

import contextlib
import errno
import getpass
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.files.locks import holder, locked
from tests.fakes.clock import FakeClock

HOLDER = """
import sys
from pathlib import Path
from covalent_lambda_container.files.locks import locked

with locked(Path(sys.argv[1]), shared=sys.argv[2] == "shared", patience_s=0, waiting=print):
    print("held", flush=True)
    sys.stdin.read()
"""


def held(path: Path, kind: str = "alone") -> subprocess.Popen[str]:
    """Start a process that holds a lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "lock"


@pytest.fixture
def other(lock: Path) -> Iterator[subprocess.Popen[str]]:
    with held(lock) as process:
        yield process


def test_a_free_lock_is_taken_without_a_word(lock: Path) -> None:
    said: list[str] = []
    with locked(lock, patience_s=0, waiting=said.append) as file:
        assert file is not None
    assert said == []


def test_a_long_held_lock_is_reported_once_and_does_not_block_others_forever(
    lock: Path, other: subprocess.Popen[str]
) -> None:
    clock = FakeClock()
    begun = clock.now()
    said: list[str] = []
    with locked(
        lock, patience_s=600, waiting=said.append, clock=clock.now, sleep=clock.sleep
    ) as file:
        assert file is None
    assert clock.now() - begun == pytest.approx(600, abs=1)
    assert said == [f"process {other.pid} of user {getpass.getuser()}"]


def test_a_short_wait_is_not_mentioned(lock: Path, other: subprocess.Popen[str]) -> None:
    clock = FakeClock()
    said: list[str] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now() - begun > 2 and other.poll() is None:
            other.kill()
            other.wait()

    begun = clock.now()
    with locked(lock, patience_s=600, waiting=said.append, clock=clock.now, sleep=sleep) as file:
        assert file is not None
    assert said == []


def test_shared_locks_do_not_wait_for_each_other(lock: Path) -> None:
    with (
        held(lock, "shared"),
        locked(lock, shared=True, patience_s=0, waiting=print) as file,
    ):
        assert file is not None


def test_a_holder_that_the_system_does_not_name_is_the_files_owner(lock: Path) -> None:
    lock.touch()
    assert holder(lock) == f"another process; the file belongs to user {getpass.getuser()}"


def test_a_wait_ends_when_the_work_is_cancelled(lock: Path, other: subprocess.Popen[str]) -> None:
    cancellation = Cancellation()

    def wait() -> None:
        with locked(lock, patience_s=600, waiting=print):
            raise AssertionError("the lock is held")

    waiting = in_background(wait, cancellation)
    cancellation.request()
    with pytest.raises(Cancelled):
        waiting.result(5)


def test_a_lock_whose_file_was_removed_by_its_holder_is_not_held_twice(
    lock: Path, other: subprocess.Popen[str]
) -> None:
    later = list[subprocess.Popen[str]]()

    def end_and_start() -> None:
        # While this process waits, the holder removes the file and ends, and a third one comes.
        lock.unlink()
        other.communicate()
        later.append(held(lock))

    clock = FakeClock()
    clock.after(1, end_and_start)
    with locked(lock, patience_s=600, waiting=print, clock=clock.now, sleep=clock.sleep) as file:
        assert file is None
    later[0].communicate()
    with locked(lock, patience_s=0, waiting=print) as file:
        assert file is not None


def test_a_process_that_was_forked_meanwhile_does_not_keep_the_lock(lock: Path) -> None:
    read, write = os.pipe()
    with locked(lock, patience_s=0, waiting=print):
        child = os.fork()
        if not child:
            # Like a worker of a process pool: it has every file open, and knows of no lock.
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    os.close(read)
    try:
        with locked(lock, patience_s=0, waiting=print) as file:
            assert file is not None
    finally:
        os.close(write)
        os.waitpid(child, 0)


def test_a_fork_that_leaves_the_context_releases_nothing(lock: Path) -> None:
    child = 0
    with contextlib.suppress(ZeroDivisionError), locked(lock, patience_s=0, waiting=print):
        child = os.fork()
        if not child:
            raise ZeroDivisionError
        os.waitpid(child, 0)
        with locked(lock, patience_s=0, waiting=print) as second:
            assert second is None
    if not child:
        os._exit(0)


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_plain_file_is_refused_and_not_waited_for(lock: Path, kind: str) -> None:
    target = lock.with_name("elsewhere")
    {
        "pipe": lambda: os.mkfifo(lock),
        "link": lambda: lock.symlink_to(target),
        "folder": lock.mkdir,
    }[kind]()
    with pytest.raises(OSError, match=str(lock)), locked(lock, patience_s=0, waiting=print):
        pass
    assert not target.exists()


WITHOUT_LOCKS = """
import errno, fcntl, logging, sys
from pathlib import Path

def flock(file, operation):
    raise OSError(int(sys.argv[2]), "as a network file system answers")

fcntl.flock = flock
from covalent_lambda_container.files.cache_folder import emptying, remove_leftovers, scratch, using

logging.basicConfig(format="%(message)s")
cache = Path(sys.argv[1])
with using(cache), scratch(cache) as folder:
    remove_leftovers(cache)
    print(folder.exists())
with emptying(cache, print):
    print("emptied")
"""


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_reported_once_and_used(tmp_path: Path, number: int) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT_LOCKS, str(tmp_path / "cache"), str(number)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout == "True\nemptied\n"
    assert ended.stderr.count("has no locks") == 1
