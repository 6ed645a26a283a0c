"""The output of running tasks, read from S3 where their functions upload it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from covalent_lambda_container.concurrency.event_loop import PerLoop, in_thread
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.files.streams import Readable
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.runtime.capture import HEAD_BYTES, TAIL_BYTES
from covalent_lambda_container.tasks.call import TaskObjects

log = logging.getLogger(__name__)

INTERVAL_S: Final = 5.0
"""Least time between uploads of a task's output; the output of a shorter task comes with its
answer."""

_LARGEST: Final = 2 * 4 * (HEAD_BYTES + TAIL_BYTES) + 4096
"""Most bytes read of an object: the handler keeps this much of each stream, and writes bytes that
are not UTF-8 as four characters."""

LONGEST_PAUSE_S: Final = 3.0
_PAUSES_S: Final = (0.5, 1.0, 2.0, LONGEST_PAUSE_S)
"""Pauses between checks. After an upload, the next one comes after `INTERVAL_S` at the earliest, as
it does for a task that prints constantly, and otherwise at some later time."""

_LOOKS_PER_SECOND: Final = 10
"""Limit for requests of all tasks together; tasks of a wide lattice are checked less often."""

_AT_ONCE: Final = 8


class Printed(NamedTuple):
    """A task's output so far."""

    stdout: str
    stderr: str


ShowOutput = Callable[[Printed], None]
"""Accepts the complete output of a running task so far."""


class LiveOutputs:
    """Reads the output of running tasks.

    Parameters
    ----------
    blobs
        The bucket to which functions upload it.
    sleep, now
        Clock; replaced in tests.
    """

    def __init__(
        self,
        blobs: BlobStore,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._blobs = blobs
        self._sleep = sleep
        self._now = now
        # Separate from the transfers of answers, which must not wait for these.
        self._places = PerLoop(lambda: asyncio.Semaphore(_AT_ONCE))
        self._watched = 0

    def instructions(self, objects: TaskObjects, *, valid_s: int) -> dict[str, Any]:
        """Return the entry of a task's event for its output."""
        url = self._blobs.write_url(objects.live_key, valid_s=valid_s)
        return {"live_url": url, "live_interval_s": INTERVAL_S}

    @asynccontextmanager
    async def shown(self, objects: TaskObjects, show: ShowOutput | None) -> AsyncIterator[None]:
        """Show a task's output while the context is open, unless `show` is None.

        If the context ends with an error of this project, there is no answer with the task's
        output: the last upload is shown.
        """
        if show is None:
            yield
            return
        started = self._now()
        watch = asyncio.create_task(self._watch(objects.live_key, show))
        try:
            yield
        except LambdaContainerError:
            if self._now() >= started + INTERVAL_S:
                await self._look(objects.live_key, show, None)
            raise
        finally:
            watch.cancel()
            if self._now() >= started + INTERVAL_S:
                objects.used.append(objects.live_key)

    async def _watch(self, key: str, show: ShowOutput) -> None:
        await self._sleep(INTERVAL_S)
        self._watched += 1
        try:
            seen: Printed | None = None
            looks = 0
            while True:
                pause_s = _PAUSES_S[min(looks, len(_PAUSES_S) - 1)]
                await self._sleep(max(pause_s, self._watched / _LOOKS_PER_SECOND))
                looks += 1
                found = await self._look(key, show, seen)
                if found != seen:
                    seen, looks = found, 0
                    await self._sleep(INTERVAL_S - _PAUSES_S[0])
        finally:
            self._watched -= 1

    async def _look(self, key: str, show: ShowOutput, seen: Printed | None) -> Printed | None:
        """Show the uploaded output if it is new, and return it."""
        try:
            async with self._places.get():
                found = await in_thread(self._read, key)
        except Exception as exc:
            # Not a reason to fail a task, or to stop: the output also comes with the answer.
            log.debug("The output of a running task was not read: %s", exc)
            return seen
        if found is None or found == seen:
            return seen
        show(found)
        return found

    def _read(self, key: str) -> Printed | None:
        return self._blobs.read(key, read_printed, limit=_LARGEST)


def read_printed(stream: Readable) -> Printed:
    """Read a task's output from a stream.

    The task may have replaced it by anything, so no content is an error.
    """
    content = b""
    while piece := stream.read(_LARGEST - len(content)):
        content += piece
    stdout, stderr = wire.unpack_output(content)
    return Printed(_text(stdout), _text(stderr))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")
