"""Limits and priorities of processes, which any process of the same user can change.

Forked processes inherit them: if a task changes those of the template, all later tasks have them.
"""

from __future__ import annotations

import contextlib
import os
import resource
from typing import Any

_LIMITS = sorted({getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_")})


def limits_of(pid: int) -> dict[str, Any]:
    """Return a process' limits, priority and processors, as far as the system reports them."""
    found: dict[str, Any] = {"nice": os.getpriority(os.PRIO_PROCESS, pid)}
    if hasattr(resource, "prlimit"):
        for limit in _LIMITS:
            with contextlib.suppress(OSError, ValueError):
                found[str(limit)] = resource.prlimit(pid, limit)
    if hasattr(os, "sched_getaffinity"):
        found["processors"] = os.sched_getaffinity(pid)
        found["scheduler"] = os.sched_getscheduler(pid)
    return found


class OwnLimits:
    """The limits of this process, as they were when it began."""

    def __init__(self) -> None:
        self._first = limits_of(os.getpid())

    def restored(self) -> dict[str, Any]:
        """Return the current limits, restored as far as a process may raise its own."""
        pid = os.getpid()
        found = limits_of(pid)
        if found == self._first:
            return found
        for limit in _LIMITS:
            first, now = self._first.get(str(limit)), found.get(str(limit))
            if first and now and first != now:
                with contextlib.suppress(OSError, ValueError):
                    resource.setrlimit(limit, (_least(first[0], now[1]), now[1]))
        if "processors" in found:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(pid, self._first["processors"])
        return limits_of(pid)


def _least(one: int, other: int) -> int:
    return min((one, other), key=lambda limit: (limit == resource.RLIM_INFINITY, limit))
