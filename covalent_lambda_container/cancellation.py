"""Tasks that are under way in this process, and how to call one off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """The task was called off before it was sent."""


class Cancellation:
    """Whether one task was called off; asked by the thread that runs it, told by another."""

    def __init__(self) -> None:
        self._requested = threading.Event()
        self._lock = threading.Lock()
        self._actions: list[Callable[[], object]] = []

    def check(self) -> None:
        """Raise `Cancelled` if the task was called off."""
        if self._requested.is_set():
            raise Cancelled

    def on_request(self, action: Callable[[], object]) -> None:
        """Have `action` called when the task is called off; at once, if it was."""
        with self._lock:
            if not self._requested.is_set():
                self._actions.append(action)
                return
        _attempt(action)

    def request(self) -> None:
        """Call the task off."""
        with self._lock:
            self._requested.set()
            actions, self._actions = self._actions, []
        for action in actions:
            _attempt(action)


def _attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:
        log.warning("A cancelled task could not be told so.", exc_info=True)


class Register:
    """The tasks under way, by dispatch and node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], Cancellation] = {}

    @contextmanager
    def running(self, dispatch_id: str, node_id: int) -> Iterator[Cancellation]:
        """Keep a task in the register while the context is open."""
        key = (dispatch_id, node_id)
        cancellation = Cancellation()
        with self._lock:
            self._running[key] = cancellation
        try:
            yield cancellation
        finally:
            with self._lock:
                if self._running.get(key) is cancellation:
                    del self._running[key]

    def find(self, dispatch_id: str, node_id: int) -> Cancellation | None:
        """Return the cancellation of a task under way."""
        with self._lock:
            return self._running.get((dispatch_id, node_id))
