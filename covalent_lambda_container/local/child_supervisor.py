"""Run a command no longer than the process that started it: ``python child_supervisor.py``.

    child_supervisor.py PARENT_PID GRACE_S COMMAND [ARGUMENT ...]

The command runs until it ends by itself, this process gets SIGTERM, or the parent has ended, in
whatever way: SIGKILL runs no ``finally``. This is a separate process because the alternatives do
less: a parent-death signal follows the *thread* that started the child, exists only on Linux, and
kills before the child has cleaned up.

Standard library only: it is run as a file, without site-packages, and starts in 20 ms.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import subprocess
import sys
import time
from types import FrameType

_PARENT_CHECK_S = 0.5
_LEFTOVERS_S = 0.5
_ABOVE_ANY_PASSED_DESCRIPTOR = 1 << 16


def main(arguments: list[str]) -> int:
    parent, grace_s, command = int(arguments[0]), float(arguments[1]), arguments[2:]
    stopping = False

    def stop(_signal: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGCHLD, lambda _signal, _frame: None)
    _raise_file_limit()
    # Descriptors that the parent passes on are for the command. A new session makes the command and
    # its children one process group, which can be ended together.
    child = subprocess.Popen(command, close_fds=False, start_new_session=True)
    try:
        # A passed socket must not still listen here once the command is gone.
        os.closerange(3, _ABOVE_ANY_PASSED_DESCRIPTOR)
        # Signals end the wait at once; without the pipe, select() would resume after a handler.
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        while child.poll() is None and not stopping and os.getppid() == parent:
            if select.select([wake_read], [], [], _PARENT_CHECK_S)[0]:
                os.read(wake_read, 64)
    finally:
        _end(child, grace_s)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


def _raise_file_limit() -> None:
    # Servers meet bursts of connections; 1024 descriptors is the usual soft limit.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end(child: subprocess.Popen[bytes], grace_s: float) -> None:
    if child.poll() is None:
        child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_s)
    # Processes that the command left behind, and the command itself if it has not ended. They end
    # asynchronously, and hold the command's sockets until then.
    deadline = time.monotonic() + _LEFTOVERS_S
    with contextlib.suppress(ProcessLookupError, PermissionError):
        while time.monotonic() < deadline:
            os.killpg(child.pid, signal.SIGKILL)
            child.poll()
            time.sleep(0.01)
    child.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
