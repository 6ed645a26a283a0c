"""The processes that a process has started, and those that these have left behind."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator

_LONGEST_PAUSE_S = 0.02
_USERS_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals whose name says more than their description."""


def end_descriptors(pid: int) -> list[int]:
    """Return the descriptor that becomes readable when a process has ended, if there are such.

    A connection to it stays open as long as any process that it has forked.
    """
    with contextlib.suppress(AttributeError, OSError):
        return [os.pidfd_open(pid)]
    return []


def end_of(pid: int) -> tuple[int, int]:
    """Wait for a process to end; return its status and peak memory in KB."""
    for descriptor in end_descriptors(pid):
        # The end of a process that is traced is reported to the one that traces it, which a task
        # may have left running. Its descriptor reports it to everybody.
        select.select([descriptor], [], [])
        os.close(descriptor)
        for pause_s in _pauses_s():
            found, status, usage = os.wait4(pid, os.WNOHANG)
            if found:
                return status, usage.ru_maxrss
            _kill_children(but=pid)
            time.sleep(pause_s)
    _, status, usage = os.wait4(pid, 0)
    return status, usage.ru_maxrss


def end_children() -> None:
    """Kill all descendants of this process; orphans among them become its children."""
    for pause_s in _pauses_s():
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        # They may have had children since, which are found in the next round.
        _kill_children()
        time.sleep(pause_s)


def _kill_children(but: int = 0) -> None:
    for child in _children():
        if child != but:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)


def _pauses_s() -> Iterator[float]:
    """Yield growing pauses between two looks at processes that are ending."""
    pause_s = 0.0002
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _children() -> Iterator[int]:
    own = str(os.getpid())
    for name in os.listdir("/proc"):
        if name.isdigit() and _stat(int(name))[1:2] == [own]:
            yield int(name)


def is_stopped(pid: int) -> bool:
    return _stat(pid)[:1] == ["T"]


def _stat(pid: int) -> list[str]:
    """Return what the kernel says of a process, from its state on; nothing if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The command's name is in parentheses and may contain anything.
            return file.read().rpartition(")")[2].split()
    except OSError:
        return []


def how(status: int) -> str:
    """Return how a process with this wait status ended, in the words of Lambda's own reports."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    if -code in _USERS_SIGNALS:
        return f"signal: {signal.Signals(-code).name}"
    description = signal.strsignal(-code) or str(-code)
    return f"signal: {description.lower()}"
