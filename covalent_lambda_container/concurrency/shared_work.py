"""Work on the event loop that is done once for many callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from covalent_lambda_container.concurrency.cancellation import (
    Cancellation,
    Cancelled,
    JointCancellation,
)
from covalent_lambda_container.concurrency.event_loop import PerLoop

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

Work = Callable[[Cancellation], Awaitable[Value]]
"""Does the work; it is given its cancellation, which is requested when nobody wants it any more."""


class _Flight(Generic[Value]):
    """Work that is running or done, and the callers that wait for it."""

    def __init__(self, work: Work[Value]) -> None:
        self.cancellation = JointCancellation()
        self.running = asyncio.ensure_future(self._run(work))

    @property
    def was_cancelled(self) -> bool:
        """Whether the work ended because no caller needed it any more."""
        if not self.running.done():
            return False
        return self.running.cancelled() or isinstance(self.running.exception(), Cancelled)

    def has_given(self, value: Value) -> bool:
        """Return whether the work has ended with this very value."""
        ended = self.running.done() and not self.running.cancelled()
        return ended and self.running.exception() is None and self.running.result() is value

    async def _run(self, work: Work[Value]) -> Value:
        try:
            return await work(self.cancellation)
        finally:
            self.cancellation.release()


class SharedWork(Generic[Key, Value]):
    """Caches the outcome of work by its key; while the work is running, all callers wait for it.

    A failure is raised in those who waited, and not cached. A caller that is cancelled while
    waiting leaves the work to the others; when the last has left, the work is cancelled.
    """

    def __init__(self) -> None:
        self._by_loop: PerLoop[dict[Key, _Flight[Value]]] = PerLoop(dict)

    async def get(self, key: Key, work: Work[Value], cancellation: Cancellation) -> Value:
        """Return the value of a key, computed by `work` if it is not cached.

        Raises
        ------
        Cancelled
            The caller was cancelled.
        """
        flights = self._by_loop.get()
        while True:
            cancellation.check()
            flight = flights.get(key)
            if flight is None or flight.was_cancelled:
                flight = flights[key] = _Flight(work)
                flight.running.add_done_callback(partial(_forget_failure, flights, key))
            elif flight.running.done():
                return flight.running.result()
            flight.cancellation.join(cancellation)
            try:
                value = await asyncio.shield(flight.running)
            except Cancelled:
                # Otherwise, the last of the other callers left just before this one came.
                continue
            cancellation.check()
            return value

    def forget(self, key: Key, value: Value) -> bool:
        """Forget a value, so that the next caller computes it again.

        Many may find at once that a value has become wrong: the first one forgets it, and the
        others find that somebody computes, or has computed, another one.

        Returns
        -------
        bool
            Whether it was the value of the key.
        """
        flights = self._by_loop.get()
        flight = flights.get(key)
        if flight is None or not flight.has_given(value):
            return False
        del flights[key]
        return True

    def forget_done(self, outdated: Callable[[Key], bool]) -> list[Value]:
        """Drop the cached values whose keys are outdated; return them."""
        flights = self._by_loop.get()
        keys = [key for key, flight in flights.items() if flight.running.done() and outdated(key)]
        dropped = [flights.pop(key).running for key in keys]
        return [
            running.result()
            for running in dropped
            if not running.cancelled() and running.exception() is None
        ]


def _forget_failure(
    flights: dict[Key, _Flight[Value]], key: Key, ended: asyncio.Future[Value]
) -> None:
    failed = ended.cancelled() or ended.exception() is not None
    if failed and key in flights and flights[key].running is ended:
        del flights[key]
