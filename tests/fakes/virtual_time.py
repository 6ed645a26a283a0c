"""An event loop whose time passes only while nothing else happens, and then at once."""

from __future__ import annotations

import asyncio
import selectors
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

_WORKERS = "covalent-lambda"
"""Name of the threads that coroutines of the package wait for."""
_PATIENCE_S = 0.01


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Skips the time for which the loop would wait, unless a thread works for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        # In this order: a thread that has ended has woken the loop before.
        works = any(thread.name == _WORKERS for thread in threading.enumerate())
        events = super().select(0)
        if events or timeout == 0:
            return events
        if works or timeout is None:
            return super().select(_PATIENCE_S)
        self.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """The loop. Its time begins at 0."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine as `asyncio.run` does, without waiting for the time that passes in it."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
