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
"""Cancelled tasks that were not running; most have ended and never come up again."""

# The loop itself holds tasks weakly.
_abandoned: set[asyncio.Task[Any]] = set()


class Cancelled(Exception):
    """The task was cancelled."""


class Cancellation:
    """Whether one task was cancelled: set by one thread, checked by the one that runs the task."""

    # One lock for all instances, never held for long: thousands of tasks run at once.
    _lock: ClassVar = threading.Lock()

    def __init__(self) -> None:
        self._requested = False
        self._actions: dict[object, Callable[[], object]] = {}

    @property
    def requested(self) -> bool:
        """Whether the task was cancelled."""
        return self._requested

    def check(self) -> None:
        """Raise `Cancelled` if the task was cancelled."""
        if self._requested:
            raise Cancelled

    def on_request(self, action: Callable[[], object]) -> Callable[[], None]:
        """Call `action` when the task is cancelled; at once, if it already was.

        Returns
        -------
        Callable
            Keeps it from being called from then on.
        """
        key = object()
        with self._lock:
            is_late = self._requested
            if not is_late:
                self._actions[key] = action
        if is_late:
            _attempt(action)
        return functools.partial(self._forget, key)

    def request(self) -> None:
        """Cancel the task."""
        with self._lock:
            self._requested = True
            actions, self._actions = self._actions, {}
        for action in actions.values():
            _attempt(action)

    def _forget(self, key: object) -> None:
        with self._lock:
            self._actions.pop(key, None)


class JointCancellation(Cancellation):
    """The cancellation of work that several want: requested when all of them have cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self._wanting = 0
        self._is_over = False

    def join(self, cancellation: Cancellation | None) -> None:
        """Add one who wants the work; None for one who never cancels."""
        with self._lock:
            self._wanting += 1
        if cancellation is not None:
            cancellation.on_request(self._leave)

    def release(self) -> None:
        """Request nothing any more: the work has ended."""
        with self._lock:
            self._is_over = True
            self._actions = {}

    def _leave(self) -> None:
        # A count: thousands may leave at once.
        with self._lock:
            self._wanting -= 1
            is_unwanted = not self._wanting and not self._is_over
        if is_unwanted:
            self.request()


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
        """Remove a task, unless it has begun again meanwhile."""
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

    The work goes on until it checks for the cancellation itself; its outcome is discarded.

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
