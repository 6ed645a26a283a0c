"""Attributes of a process that Python's os module does not offer (prctl(2))."""

from __future__ import annotations

import ctypes
import signal

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


def hide_memory() -> None:
    """Keep other processes of the same user from reading or tracing this one, and its forks.

    Only processes with CAP_SYS_PTRACE can inspect one that is not dumpable (ptrace(2)).
    """
    _prctl(_PR_SET_DUMPABLE, 0)


def show_memory() -> None:
    """Undo `hide_memory`, so that this process owns its /proc entries again."""
    _prctl(_PR_SET_DUMPABLE, 1)


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parents have ended."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Make the kernel kill this process when its parent ends."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_function = getattr(ctypes.CDLL(None), "prctl", None)


def _prctl(option: int, value: int) -> None:
    if _function is not None:
        _function(option, value, 0, 0, 0)
