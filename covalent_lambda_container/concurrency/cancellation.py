"""Tasks that are under way in this process, and how to call one off."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import ClassVar, Final

log = logging.getLogger(__name__)

Key = tuple[str, int]

_REMEMBERED: Final = 10_000
"""Tasks called off that were not under way; most have ended, and are never asked for again."""


class Cancelled(Exception):
    """The task was called off before it was sent."""


class Cancellation:
    """Whether one task was called off; asked by the thread that runs it, told by another."""

    # One for all, held for a moment only: thousands of tasks are under way at once.
    _lock: ClassVar = threading.Lock()

    def __init__(self) -> None:
        self._requested = False
        self._actions: list[Callable[[], object]] = []

    @property
    def requested(self) -> bool:
        """Whether the task was called off."""
        return self._requested

    def check(self) -> None:
        """Raise `Cancelled` if the task was called off."""
        if self._requested:
            raise Cancelled

    def on_request(self, action: Callable[[], object]) -> None:
        """Have `action` called when the task is called off; at once, if it was."""
        with self._lock:
            if not self._requested:
                self._actions.append(action)
                return
        _attempt(action)

    def request(self) -> None:
        """Call the task off."""
        with self._lock:
            self._requested = True
            actions, self._actions = self._actions, []
        for action in actions:
            _attempt(action)


def _attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:
        log.warning("A cancelled task could not be told so.", exc_info=True)


class CancellationRegistry:
    """The tasks under way, by dispatch and node; and those called off before they came."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Key, Cancellation] = {}
        self._early: OrderedDict[Key, None] = OrderedDict()

    def begin(self, dispatch_id: str, node_id: int) -> Cancellation:
        """Enter a task, until its `end`.

        Raises
        ------
        Cancelled
            The task was called off before.
        """
        key = (dispatch_id, node_id)
        cancellation = Cancellation()
        with self._lock:
            if key in self._early:
                del self._early[key]
                raise Cancelled
            self._running[key] = cancellation
        return cancellation

    def end(self, dispatch_id: str, node_id: int, cancellation: Cancellation) -> None:
        """Take a task out again, unless it has begun anew meanwhile."""
        key = (dispatch_id, node_id)
        with self._lock:
            if self._running.get(key) is cancellation:
                del self._running[key]

    def cancel_task(self, dispatch_id: str, node_id: int) -> Cancellation | None:
        """Return the cancellation of a task under way; note any other, in case it comes yet."""
        key = (dispatch_id, node_id)
        with self._lock:
            if key not in self._running:
                self._early[key] = None
                while len(self._early) > _REMEMBERED:
                    self._early.popitem(last=False)
            return self._running.get(key)
