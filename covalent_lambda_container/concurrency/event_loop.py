"""What goes with an event loop: values that belong to one, work beside it, turns on it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

Value = TypeVar("Value")

BRIEF_BYTES: Final = 256 * 1024
"""What is smaller is read, written or hashed on the event loop; what is larger, beside it."""

_BEGIN_EACH_TURN: Final = 32
"""Pieces of work that begin in one turn of the loop. Each takes a quarter of a millisecond: others
on the loop wait for 8 ms. Of fewer, each takes longer, since a turn has a price of its own."""


class PerLoop(Generic[Value]):
    """One value for each event loop, made when it is first asked for there.

    Parameters
    ----------
    make
        Makes a value for the running loop.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}

    def get(self) -> Value:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        if loop not in self._values:
            # Loops of other threads may come at the same moment.
            with self._lock:
                kept = {one: of for one, of in self._values.items() if not one.is_closed()}
                self._values = kept | {loop: self._make()}
        return self._values[loop]


class StartLimiter:
    """Lets a few pieces of work begin in each turn of the event loop.

    Thousands that begin in the same turn would keep everything else on the loop waiting.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(_BEGIN_EACH_TURN)

    async def take(self) -> None:
        """Wait for a turn."""
        await self._places.acquire()
        self._loop.call_soon(self._places.release)


async def in_thread(function: Callable[..., Value], *args: Any) -> Value:
    """Run a blocking function in a thread of its own.

    Not in a pool: a pool's size would limit what is under way, and Python waits for a pool's
    threads when it ends, which would keep Covalent's server from stopping while a task runs.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Value] = loop.create_future()

    def work() -> None:
        try:
            result = function(*args)
        except BaseException as exc:
            tell = functools.partial(_unless_done, ended.set_exception, ended, exc)
        else:
            tell = functools.partial(_unless_done, ended.set_result, ended, result)
        # A loop that was closed meanwhile has nobody left to tell.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell)

    threading.Thread(target=work, name="covalent-lambda", daemon=True).start()
    return await ended


def _unless_done(tell: Callable[[Any], None], ended: asyncio.Future[Any], what: Any) -> None:
    if not ended.done():
        tell(what)
