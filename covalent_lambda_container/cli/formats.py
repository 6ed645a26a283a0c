"""Values formatted for people."""

from __future__ import annotations

from collections.abc import Sized
from datetime import datetime

_UNITS = (("d", 86400), ("h", 3600), ("min", 60))


def age(moment: datetime | None, now: datetime) -> str:
    """Return how long ago something was, in words; a dash for never."""
    if moment is None:
        return "–"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def number_of(items: Sized, what: str) -> str:
    """Return how many there are, such as ``"1 failed task"`` or ``"2 failed tasks"``."""
    return f"{len(items)} {what}" + ("" if len(items) == 1 else "s")


def megabytes(size: int) -> str:
    """Return a number of bytes in words."""
    return f"{size / 1e6:,.0f} MB"
