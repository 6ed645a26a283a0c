"""Watches for the sign that a task was cancelled."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable

_FOUND = b"!"


class CancelWatch:
    """A process that polls an object in S3 which lists cancelled tasks.

    It is a separate process of the handler's, so that neither a slow S3 nor the task delays the
    handler.

    Parameters
    ----------
    url
        Presigned GET URL of the object, a JSON list of tasks' ids.
    task_id
        The task.
    interval_s
        Seconds between requests.
    """

    def __init__(self, url: str, task_id: str, interval_s: float) -> None:
        # Imported here instead of at every start of the handler: most tasks end before this.
        from .transfer import look

        self._found, theirs = os.pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                while not _lists(look, url, task_id):
                    time.sleep(interval_s)
                os.write(theirs, _FOUND)
            finally:
                os._exit(0)
        os.close(theirs)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when the task was cancelled."""
        return self._found

    def has_found(self) -> bool:
        """Return whether the task was cancelled, if the descriptor is readable.

        Otherwise the process has ended; the task, which has the same user, may have killed it.
        """
        return os.read(self._found, 1) == _FOUND

    def go_on(self) -> None:
        """Continue the process, which the task may have stopped."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGCONT)

    def close(self) -> None:
        """End the process."""
        os.close(self._found)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)


def _lists(look: Callable[[str], bytes | None], url: str, task_id: str) -> bool:
    try:
        return task_id in json.loads(look(url) or b"[]")
    except (OSError, ValueError, TypeError):
        # An error is not a reason to stop a task.
        return False
