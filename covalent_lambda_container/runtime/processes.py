"""Processes that a task leaves behind: found and ended, so that they do not run on."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

MARK = "COVALENT_LAMBDA_TASK"
"""Environment variable that every program started by a task inherits."""

# What Lambda itself runs beside the runtime was there before the first task.
_BEFORE = frozenset(os.listdir("/proc")) if os.path.isdir("/proc") else frozenset()


def end_leftovers() -> int:
    """Kill what the task started and did not end; return how many processes that were."""
    ended = 0
    for pid in _leftovers():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
            ended += 1
        # A child stays in the process table until its parent asks for its status.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return ended


def _leftovers() -> Iterator[int]:
    own, group = os.getpid(), os.getpgrp()
    if not _BEFORE:
        return
    for name in os.listdir("/proc"):
        if name.isdigit() and name not in _BEFORE and int(name) != own and _ours(name, own, group):
            yield int(name)


def _ours(pid: str, parent: int, group: int) -> bool:
    """Tell a task's process by its parent, its group (a fork's), or the mark (a program's)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The command's name stands in parentheses and may hold anything.
            fields = file.read().rpartition(")")[2].split()
        if int(fields[1]) == parent or int(fields[2]) == group:
            return True
        with open(f"/proc/{pid}/environ", "rb") as file:
            return f"{MARK}=".encode() in file.read()
    except OSError:
        return False
