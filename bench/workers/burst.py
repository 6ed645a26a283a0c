"""Thousands of simultaneous calls, and their use of time, processor, memory and event loop."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Final

import uvloop

from bench.workers import protocol
from bench.workers.memory import PeakMemory

_TICK_S: Final = 0.005

#: Calls before those that are measured: sessions, clients and modules are there afterwards.
WARM_UP: Final = 3

Send = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, kw_only=True)
class Burst:
    """The cost of a burst.

    Parameters
    ----------
    seconds
        Time from the first call to the last return.
    processor_s
        Processor time of all of this process's threads.
    loop_block_ms
        Longest delay of a 5 ms sleep on the event loop.
    peak_bytes
        Increase of peak resident memory.
    """

    seconds: float
    processor_s: float
    loop_block_ms: float
    peak_bytes: int


async def burst(sends: Sequence[Send]) -> Burst:
    """Call everything at once and wait until the last has returned."""
    memory = PeakMemory()
    late: list[float] = []
    watch = asyncio.create_task(_note_lateness(late))
    await asyncio.sleep(10 * _TICK_S)
    processor_s = _processor_s()
    started = time.perf_counter()
    for running in [asyncio.ensure_future(send()) for send in sends]:
        await running
    seconds = time.perf_counter() - started
    processor_s = _processor_s() - processor_s
    peak_bytes = memory.rise_bytes
    await asyncio.sleep(2 * _TICK_S)
    watch.cancel()
    return Burst(
        seconds=seconds,
        processor_s=processor_s,
        loop_block_ms=max(late) * 1000,
        peak_bytes=peak_bytes,
    )


def serve(client: Callable[[dict[str, Any]], Coroutine[Any, Any, Burst]]) -> None:
    """Answer a request with what a client's burst took, on the loop that Covalent's server has."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    protocol.answer(lambda request: dict(vars(uvloop.run(client(request)))))


async def _note_lateness(late: list[float]) -> None:
    while True:
        due = time.perf_counter() + _TICK_S
        await asyncio.sleep(_TICK_S)
        late.append(time.perf_counter() - due)


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime
