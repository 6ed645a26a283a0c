"""Transfers of tasks and answers through S3, a limited number at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from covalent_lambda_container import progress
from covalent_lambda_container.concurrency.event_loop import PerLoop, in_thread
from covalent_lambda_container.errors import LambdaContainerError, UnusableAnswer
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.tasks.s3_envelope import read_answer

log = logging.getLogger(__name__)

Value = TypeVar("Value")

_AT_ONCE: Final = 32
"""Each transfer has a thread, connections and megabytes in memory, and the tasks of a wide lattice
may end in the same second."""

UNREACHABLE_PATIENCE_S: Final = 60.0
"""How long AWS may be unreachable: Lambda for a task, S3 for an existing answer."""

LONGEST_DELAY_S: Final = 5.0
"""Longest pause between two attempts."""


class Transfers:
    """The dispatcher's transfers to and from S3.

    Parameters
    ----------
    blobs
        The bucket.
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
        self._places = PerLoop(lambda: asyncio.Semaphore(_AT_ONCE))
        self._sleep = sleep
        self._now = now

    async def run(self, work: Callable[..., Value], *args: Any) -> Value:
        """Run blocking work in a thread, once fewer than 32 transfers are running."""
        async with self._places.get():
            return await in_thread(work, *args)

    async def answer(self, key: str) -> dict[str, Any] | None:
        """Return the answer stored under a key, or None if S3 has none.

        Raises
        ------
        InvocationError
            S3 could not be reached, or the object could not be read completely.
        """
        return await self.run(self._blobs.read, key, read_answer)

    async def patient_answer(self, key: str) -> dict[str, Any] | None:
        """Return an answer that is only in S3: errors are retried for a minute.

        So are refusals. The task has run, and its answer is nowhere else; new credentials and
        changed policies take effect within seconds. S3 does not refuse an object because it is
        absent, since the dispatcher may list the bucket (`S3Bucket.check`).
        """
        patience_ends = self._now() + UNREACHABLE_PATIENCE_S
        while True:
            try:
                return await self.answer(key)
            except UnusableAnswer:
                raise
            except LambdaContainerError as exc:
                if self._now() + LONGEST_DELAY_S > patience_ends:
                    raise
                log.warning("Reading S3 object %s again: %s", key, exc)
                progress.report(f"waiting for S3: {exc.message}")
            await self._sleep(LONGEST_DELAY_S)
