"""The tasks that run in this process, and how to cancel one."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar, Final, TypeVar

log = logging.getLogger(__name__)

Key = tuple[str, int]
Result = TypeVar("Result")

_REMEMBERED: Final = 10_000
"""Remembered tasks that were cancelled while not running; most have ended and never begin."""

# The loop itself holds tasks weakly.
_abandoned: set[asyncio.Task[Any]] = set()


class Cancelled(Exception):
    """The task was cancelled."""


class Cancellation:
    """The cancellation of one task: set by one thread, checked by the one that runs the task."""

    # One lock for all instances, never held for long: thousands of tasks run at once.
    _lock: ClassVar = threading.Lock()

    def __init__(self) -> None:
        self._requested = False
        self._actions: list[Callable[[], object]] = []

    @property
    def requested(self) -> bool:
        """Whether the task was cancelled."""
        return self._requested

    def check(self) -> None:
        """Raise `Cancelled` if the task was cancelled."""
        if self._requested:
            raise Cancelled

    def on_request(self, action: Callable[[], object]) -> None:
        """Call `action` when the task is cancelled, or at once if it already was."""
        with self._lock:
            if not self._requested:
                self._actions.append(action)
                return
        _attempt(action)

    def request(self) -> None:
        """Cancel the task."""
        with self._lock:
            self._requested = True
            actions, self._actions = self._actions, []
        for action in actions:
            _attempt(action)


def _attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except Exception:
        log.warning("A cancelled task could not be notified.", exc_info=True)


class CancellationRegistry:
    """Running tasks by dispatch and node, and tasks that were cancelled before they began."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[Key, Cancellation] = {}
        self._early: OrderedDict[Key, None] = OrderedDict()

    def begin(self, dispatch_id: str, node_id: int) -> Cancellation:
        """Register a task until its `end`.

        Raises
        ------
        Cancelled
            The task was cancelled before it began.
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
        """Remove a task, unless it has started again meanwhile."""
        key = (dispatch_id, node_id)
        with self._lock:
            if self._running.get(key) is cancellation:
                del self._running[key]

    def cancel_task(self, dispatch_id: str, node_id: int) -> Cancellation | None:
        """Return a running task's cancellation; remember any other, in case it begins."""
        key = (dispatch_id, node_id)
        with self._lock:
            if key not in self._running:
                self._early[key] = None
                while len(self._early) > _REMEMBERED:
                    self._early.popitem(last=False)
            return self._running.get(key)


async def unless_cancelled(work: Coroutine[Any, Any, Result], cancellation: Cancellation) -> Result:
    """Wait for work; when the task is cancelled, stop waiting at once.

    The work continues until it checks for the cancellation itself; its outcome is discarded.

    Raises
    ------
    Cancelled
        The task was cancelled.
    """
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    end = functools.partial(_end, over)
    cancellation.on_request(functools.partial(loop.call_soon_threadsafe, end))
    running = loop.create_task(work)
    running.add_done_callback(end)
    try:
        await over
    except asyncio.CancelledError:
        running.cancel()
        raise
    if running.done():
        return running.result()
    _abandoned.add(running)
    running.add_done_callback(_forget)
    raise Cancelled


def _end(over: asyncio.Future[None], _: object = None) -> None:
    if not over.done():
        over.set_result(None)


def _forget(ended: asyncio.Task[Any]) -> None:
    _abandoned.discard(ended)
    if not ended.cancelled():
        ended.exception()
