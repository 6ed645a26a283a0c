"""Values bound to an event loop, blocking work in threads, and a limit on starts per turn."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

Value = TypeVar("Value")

BRIEF_BYTES: Final = 256 * 1024
"""Smaller payloads are parsed, written or hashed on the event loop; larger ones in a thread."""

_BEGIN_EACH_TURN: Final = 32
"""Pieces of work that begin in one turn of the loop. Each takes a quarter of a millisecond, so
others on the loop wait for 8 ms. With fewer, the cost of a turn would slow each of them down."""


class PerLoop(Generic[Value]):
    """One value for each event loop, created on first use.

    Parameters
    ----------
    make
        Creates a value for the running loop.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._values: dict[asyncio.AbstractEventLoop, Value] = {}

    def get(self) -> Value:
        """Return the running loop's value."""
        loop = asyncio.get_running_loop()
        if loop not in self._values:
            # Loops of other threads may call this at the same time.
            with self._lock:
                kept = {one: of for one, of in self._values.items() if not one.is_closed()}
                self._values = kept | {loop: self._make()}
        return self._values[loop]


class StartLimiter:
    """Limits how many pieces of work begin in each turn of the event loop.

    Thousands that begin in the same turn would delay everything else on the loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(_BEGIN_EACH_TURN)

    async def take(self) -> None:
        """Wait for a turn."""
        await self._places.acquire()
        self._loop.call_soon(self._places.release)


async def in_thread(function: Callable[..., Value], *args: Any) -> Value:
    """Run a blocking function in its own thread.

    What ends a thread or a program, such as SystemExit, is raised as a RuntimeError: in a
    coroutine, it would end the event loop, and with it Covalent's server.

    A pool would not do: its size would limit how many tasks run at once, and Python waits for a
    pool's threads at exit, which would keep Covalent's server from stopping while a task runs.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[Value] = loop.create_future()

    def work() -> None:
        try:
            result = function(*args)
        except BaseException as exc:
            error = raisable(exc, function)
            settle = functools.partial(_unless_done, ended.set_exception, ended, error)
        else:
            settle = functools.partial(_unless_done, ended.set_result, ended, result)
        # If the loop was closed meanwhile, nobody is waiting any more.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=work, name="covalent-lambda", daemon=True).start()
    return await ended


def raisable(error: BaseException, origin: object) -> Exception:
    """Return an error that may be raised in another thread or in a coroutine.

    StopIteration would appear to end the coroutine, and asyncio refuses it. Errors other than
    `Exception` end what raises them: a thread, a program, a task of the event loop.

    Parameters
    ----------
    origin
        What raised it, for the message.
    """
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    wrapped = RuntimeError(f"{origin!r} raised {type(error).__name__}: {error}")
    wrapped.__cause__ = error
    return wrapped


def _unless_done(settle: Callable[[Any], None], ended: asyncio.Future[Any], value: Any) -> None:
    if not ended.done():
        settle(value)
