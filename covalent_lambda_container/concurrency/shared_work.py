"""Work on the event loop that many want done and one does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.concurrency.event_loop import PerLoop

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

Work = Callable[[Callable[[], None]], Awaitable[Value]]
"""Does the work; it is given a function to call between its steps, which raises `Cancelled` when
nobody wants it any more."""


class _Flight(Generic[Value]):
    """Work that is under way or done, and those who want it."""

    def __init__(self, work: Work[Value]) -> None:
        self.wanted_by: list[Cancellation] = []
        self.running = asyncio.ensure_future(self._run(work))

    async def _run(self, work: Work[Value]) -> Value:
        value = await work(self._check)
        self.wanted_by.clear()
        return value

    def _check(self) -> None:
        if all(cancellation.requested for cancellation in self.wanted_by):
            raise Cancelled


class SharedWork(Generic[Key, Value]):
    """Remembers the outcome of work by its key; while it is under way, everyone waits for it.

    A failure is told to those who waited, and not remembered. Whoever is called off while waiting
    leaves the work to the others; when the last has left, it stops at its next step.
    """

    def __init__(self) -> None:
        self._by_loop: PerLoop[dict[Key, _Flight[Value]]] = PerLoop(dict)

    async def get(self, key: Key, work: Work[Value], cancellation: Cancellation) -> Value:
        """Return the value of a key, made by `work` if it is not there yet.

        Raises
        ------
        Cancelled
            Whoever asks was called off.
        """
        flights = self._by_loop.get()
        while True:
            cancellation.check()
            flight = flights.get(key)
            if flight is None:
                flight = flights[key] = _Flight(work)
                flight.running.add_done_callback(partial(_forget_failure, flights, key))
            elif flight.running.done():
                return flight.running.result()
            flight.wanted_by.append(cancellation)
            try:
                value = await asyncio.shield(flight.running)
            except Cancelled:
                # Or the last of the others had left just before this one came.
                continue
            cancellation.check()
            return value

    def forget(self, key: Key) -> None:
        """Have the work done anew for the next who asks."""
        self._by_loop.get().pop(key, None)


def _forget_failure(
    flights: dict[Key, _Flight[Value]], key: Key, ended: asyncio.Future[Value]
) -> None:
    failed = ended.cancelled() or ended.exception() is not None
    if failed and key in flights and flights[key].running is ended:
        del flights[key]
