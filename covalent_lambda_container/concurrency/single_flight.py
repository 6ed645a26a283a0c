"""Something that many threads want, made once by one of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SingleFlight(Generic[Key, Value]):
    """Remembers what was made; while it is being made, everyone waits for the one who makes it.

    A failure is not remembered: it is told to those who waited, and the next caller tries again.
    """

    def __init__(self) -> None:
        self._flights: dict[Key, Future[Value]] = {}
        self._lock = threading.Lock()

    def get(self, key: Key, make: Callable[[], Value]) -> Value:
        """Return the value of `key`, made by `make` if it is not there yet."""
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
        """Let the next caller make the value anew."""
        with self._lock:
            self._flights.pop(key, None)
