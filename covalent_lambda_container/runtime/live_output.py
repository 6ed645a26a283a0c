"""Uploads a task's output while it runs."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from . import wire
from .capture import CapturedOutput

_PATIENCE_S = 5.0
"""Uploads that take longer are aborted."""

_GATHERED = 0.1
"""Fraction of an interval for which output after a pause is collected, since it comes in pieces."""


@dataclass(frozen=True)
class LiveOutput:
    """How a task's output is shown while it runs.

    Parameters
    ----------
    url
        Presigned PUT URL of the object with the task's output so far, as `wire.pack_output` writes
        it.
    interval_s
        Seconds between uploads, and before the first one.
    """

    url: str
    interval_s: float


class OutputUploads:
    """Uploads a task's output at intervals, whenever the task has printed something.

    Each upload is a separate process, forked from the handler: it has the output of that moment,
    and neither a slow S3 nor a long text delays the handler, which passes on the task's output. At
    most one runs at a time.

    Parameters
    ----------
    live
        Destination and interval.
    stdout, stderr
        The task's output.
    """

    def __init__(self, live: LiveOutput, stdout: CapturedOutput, stderr: CapturedOutput) -> None:
        self._live = live
        self._streams = (stdout, stderr)
        self._uploaded = (0, 0)
        self._next = time.monotonic() + live.interval_s
        self._began = 0.0
        self._new_since: float | None = None
        self._pid = 0

    def due(self, now: float) -> float | None:
        """Return when `advance` has something to do, on the monotonic clock; None if it has not."""
        if self._printed() == self._uploaded:
            self._new_since = None
            return self._next if self._pid else None
        if self._new_since is None:
            self._new_since = now
        return max(self._next, self._new_since + _GATHERED * self._live.interval_s)

    def advance(self, now: float) -> None:
        """Begin an upload if it is time and the task has printed something since the last one."""
        due = self.due(now)
        if due is None or now < due:
            return
        if self._pid and now < self._began + _PATIENCE_S and self._is_running():
            self._next = now + self._live.interval_s
            return
        if self._pid and not self._end():
            # The same text is uploaded again.
            self._uploaded = (0, 0)
        printed = self._printed()
        if printed == self._uploaded:
            return
        # Imported here instead of at every start of the handler: most tasks end before this.
        from .transfer import put_once

        self._uploaded, self._began, self._next = printed, now, now + self._live.interval_s
        self._pid = os.fork()
        if not self._pid:
            self._upload(put_once)

    def close(self) -> None:
        """End an upload that is running."""
        if self._pid:
            self._end()

    def _printed(self) -> tuple[int, int]:
        stdout, stderr = self._streams
        return stdout.size, stderr.size

    def _is_running(self) -> bool:
        with contextlib.suppress(ChildProcessError):
            # `_end` reads its status.
            return os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        return False

    def _end(self) -> bool:
        """End the process if it is still running; return whether it has uploaded its text."""
        pid, self._pid = self._pid, 0
        # A restarted template has ended all children of the handler.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            return status == 0
        return False

    def _upload(self, put_once: Callable[..., None]) -> None:
        """Run the upload in the forked process; never returns."""
        status = 1
        try:
            stdout, stderr = (stream.text().encode() for stream in self._streams)
            parts = wire.pack_output(stdout, stderr)
            put_once(self._live.url, parts, timeout_s=_PATIENCE_S)
            status = 0
        finally:
            # Silently: a failed upload neither fails the task nor belongs to its output.
            os._exit(status)
