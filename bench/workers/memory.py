"""Current and peak resident memory of this process."""

from __future__ import annotations

import contextlib
import gc
import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


class PeakMemory:
    """How far resident memory rises above its value when this object was created.

    On Linux the kernel's own high-water mark is set back first; elsewhere the mark is the
    process's highest ever, which is the same unless something was larger before.
    """

    def __init__(self) -> None:
        gc.collect()
        self._before = _resident_bytes()
        self.forget_peak()

    def forget_peak(self) -> None:
        """Let the mark start again from now, and leave the starting point where it was."""
        gc.collect()
        with contextlib.suppress(OSError):
            # proc(5): 5 resets the peak resident set size ("high water mark").
            Path("/proc/self/clear_refs").write_text("5")

    @property
    def rise_bytes(self) -> int:
        """The highest since then, above the starting point."""
        return _peak_bytes() - self._before


def _resident_bytes() -> int:
    return _status_bytes("VmRSS") if _STATUS.exists() else _peak_bytes()


def _peak_bytes() -> int:
    if _STATUS.exists():
        return _status_bytes("VmHWM")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS counts in bytes


def _status_bytes(field: str) -> int:
    for line in _STATUS.read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    raise LookupError(field)
