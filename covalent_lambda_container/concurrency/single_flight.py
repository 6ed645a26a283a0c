"""A value that many threads need, computed once by one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.cancellation import Cancelled, JointCancellation

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class _Flight(Generic[Value]):
    """A value that is being computed, or was, and those who want it."""

    def __init__(self) -> None:
        self.outcome: Future[Value] = Future()
        self.cancellation = JointCancellation()


class SingleFlight(Generic[Key, Value]):
    """Caches values; while one is being computed, all other callers wait for it.

    A failure is not cached: it is raised in those who waited, and the next caller tries again. A
    caller that is cancelled stops waiting; when none is left that is not, the work is cancelled.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, _Flight[Value]] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, computed by `make` if it is not cached.

        Raises
        ------
        Cancelled
            The caller was cancelled.
        """
        while True:
            cancellable.check()
            with self._lock:
                flight = self._flights.get(key)
                leads = flight is None
                if flight is None:
                    flight = self._flights[key] = _Flight()
            if not flight.outcome.done():
                flight.cancellation.join(cancellable.current())
            if leads:
                value = self._lead(key, flight, make)
                cancellable.check()
                return value
            try:
                return cancellable.result(flight.outcome)
            except Cancelled:
                # Or all others had left just before this one came.
                continue

    def forget(self, key: Key) -> None:
        """Let the next caller compute the value again."""
        with self._lock:
            self._flights.pop(key, None)

    def _lead(self, key: Key, flight: _Flight[Value], make: Callable[[], Value]) -> Value:
        try:
            with cancellable.under(flight.cancellation):
                value = make()
        except BaseException as exc:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.outcome.set_exception(exc)
            raise
        finally:
            flight.cancellation.release()
        flight.outcome.set_result(value)
        return value
