"""Looks for the sign that a task was cancelled, and ends the task."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .processes import end_leftovers

_INSISTENCE_S = 0.5
_LAST_WORD = 4


class Cancelled(BaseException):
    """Raised in the task when it was cancelled; not an Exception, so that tasks let it pass."""


class CancelWatch:
    """Watches one S3 object: when it lists the task, the task is over.

    Parameters
    ----------
    url
        Presigned GET of the object, a JSON list of tasks, or None for a task that cannot be
        cancelled.
    task_id
        The task.
    interval_s
        Seconds between two looks.
    """

    def __init__(self, url: str | None, task_id: str, interval_s: float) -> None:
        self._url = url
        self._task_id = task_id
        self._interval_s = interval_s
        self._ended = threading.Event()
        self._running = False

    @contextmanager
    def over_task(self) -> Iterator[None]:
        """Watch while the context is open; `Cancelled` is raised in it, in the main thread."""
        in_main = threading.current_thread() is threading.main_thread()
        if self._url is None or not in_main:
            yield
            return
        previous = signal.signal(signal.SIGUSR1, self._interrupt)
        self._running = True
        threading.Thread(target=self._watch, name="covalent-lambda-cancel", daemon=True).start()
        try:
            yield
        finally:
            self._running = False
            self._ended.set()
            signal.signal(signal.SIGUSR1, previous)

    def _watch(self) -> None:
        while not self._ended.wait(self._interval_s):
            if self._marked():
                break
        # A task may be in the middle of something that no signal ends, or may catch everything.
        for _ in range(_LAST_WORD):
            if self._ended.is_set():
                return
            end_leftovers()
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            self._ended.wait(_INSISTENCE_S)
        if not self._ended.is_set():
            # Nobody waits for the answer any more.
            os._exit(1)

    def _marked(self) -> bool:
        import json

        from .transfer import look

        try:
            return self._task_id in json.loads(look(str(self._url)) or "[]")
        except (OSError, ValueError):
            # Not to be told is no reason to stop a task.
            return False

    def _interrupt(self, *_: Any) -> None:
        if self._running:
            raise Cancelled
