"""A value that many threads need, computed once by one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """Caches values; while one is being computed, all other callers wait for it.

    A failure is not cached: it is raised in all waiting callers, and the next caller tries again.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, Future[Value]] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, computed by `make` if it is not cached."""
        with self._lock:
            flight = self._flights.get(key)
            leads = flight is None
            if flight is None:
                flight = self._flights[key] = Future()
        if not leads:
            return flight.result()
        try:
            value = make()
        except BaseException as exc:
            with self._lock:
                if self._flights.get(key) is flight:
                    del self._flights[key]
            flight.set_exception(exc)
            raise
        flight.set_result(value)
        return value

    def forget(self, key: Key) -> None:
        """Let the next caller compute the value again."""
        with self._lock:
            self._flights.pop(key, None)
