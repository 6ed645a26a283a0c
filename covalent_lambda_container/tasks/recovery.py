"""The answers of tasks whose connections broke."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import Any, Final

from covalent_lambda_container.concurrency.event_loop import PerLoop
from covalent_lambda_container.errors import InvocationError, LambdaContainerError
from covalent_lambda_container.ports.functions import ConnectionLost, Invocations
from covalent_lambda_container.tasks.call import Call, TaskObjects
from covalent_lambda_container.tasks.environments import Environments
from covalent_lambda_container.tasks.transfers import Transfers

log = logging.getLogger(__name__)

DURABLE_AFTER_S: Final = 1.0
"""A task that ran longer stores its answer in S3 before it answers, so that a lost connection
cannot lose it. Answers of shorter tasks, to which a PUT would add 20 to 50 ms and its price, are
kept in the memory of their execution environment for a while."""

_CAUTIOUS_S: Final = 600.0
"""How long, after a connection broke, the answers of all tasks are stored in S3 first."""

_GRACE_S: Final = 30.0
"""How much longer than the function's timeout to look for an answer: a new execution environment
loads the image and initialises, which takes up to 10 s, before the timeout begins to count (AWS
Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle")."""


class Recovery:
    """Finds the answers of tasks whose connections broke.

    The answer of a long task is in S3 when it ends. That of a shorter task is in the memory of the
    execution environment that ran it, which stores it in S3 when an event asks for it: every task
    that is sent carries the ids of missing answers, and so do rounds of questions to all
    environments of a function (`Environments`).

    Parameters
    ----------
    invocations, transfers
        The outside systems.
    sleep, now
        Clock; replaced in tests.
    """

    def __init__(
        self,
        invocations: Invocations,
        transfers: Transfers,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invocations = invocations
        self._transfers = transfers
        self._sleep = sleep
        self._now = now
        self._functions: PerLoop[dict[str, Environments]] = PerLoop(dict)
        self._last_loss: float | None = None

    def in_flight(self, function_name: str) -> AbstractContextManager[None]:
        """Count an invocation while the context is open, and its environment if it was accepted."""
        return self._environments(function_name).in_flight()

    def instructions(self, function_name: str) -> dict[str, Any]:
        """Return the entry of a task's event for its own answer and for missing ones."""
        cautious = self._last_loss is not None and self._now() < self._last_loss + _CAUTIOUS_S
        said: dict[str, Any] = {"durable_after_s": 0.0 if cautious else DURABLE_AFTER_S}
        missing = self._environments(function_name).missing
        if missing:
            said["store"] = missing
        return said

    async def recover(
        self, call: Call, objects: TaskObjects, lost: ConnectionLost
    ) -> dict[str, Any]:
        """Look for the answer of a task whose connection broke, until it can no longer arrive.

        Raises
        ------
        InvocationError
            No answer was found by the function's own deadline.
        """
        log.warning(
            "The connection to function %s broke (%s): looking for its result.",
            call.function_name,
            lost,
        )
        self._last_loss = self._now()
        environments = self._environments(call.function_name)
        # A short task that may have just begun ends before the first round.
        with environments.asked_for(
            objects.task_id, in_s=DURABLE_AFTER_S, pause_s=call.poll_interval_s
        ):
            return await self._search(call, environments, objects, lost)

    async def _search(
        self, call: Call, environments: Environments, objects: TaskObjects, lost: ConnectionLost
    ) -> dict[str, Any]:
        deadline = self._now() + call.timeout_s + _GRACE_S
        while True:
            unread = ""
            try:
                found = await self._transfers.answer(objects.result_key)
            except LambdaContainerError as exc:
                # The cause of the broken connection may also affect S3.
                log.warning("S3 did not say whether the answer is there: %s", exc)
                found, unread = None, f" Last error: {exc}"
            if found is not None:
                return found
            if self._now() > deadline:
                raise InvocationError(
                    f"The connection to function {call.function_name} broke ({lost}), and no "
                    "answer of its task was found. The task may have run; it was not run again."
                    + unread,
                )
            most_s = min(call.poll_interval_s, max(deadline - self._now(), 0.1))
            if await environments.has_stored(call, objects.task_id, most_s):
                continue
            if pause_s := environments.pause_s(most_s):
                await self._sleep(pause_s)

    def _environments(self, function_name: str) -> Environments:
        functions = self._functions.get()
        if function_name not in functions:
            functions[function_name] = Environments(self._invocations, self._now)
        return functions[function_name]
