"""The answers of tasks whose connections broke."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from covalent_lambda_container.errors import InvocationError, LambdaContainerError
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    FunctionMissing,
    Invocations,
    NotAccepted,
)
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.call import Call, TaskObjects
from covalent_lambda_container.tasks.transfers import Transfers

log = logging.getLogger(__name__)

_GRACE_S: Final = 10.0
_RECALLED_ENVIRONMENTS: Final = 4
_RECALL_HOLD_S: Final = 0.2


class Recovery:
    """Finds the answers of tasks whose connections broke.

    Parameters
    ----------
    invocations, transfers
        The outside systems.
    sleep, now
        Clock, for tests.
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

    async def recover(
        self, call: Call, objects: TaskObjects, lost: ConnectionLost
    ) -> dict[str, Any]:
        """Look for the answer of a task whose connection broke, until it cannot come any more.

        A task that ran long has stored it in S3. That of a shorter task may still be in the memory
        of the execution environment that ran it, which answers if a question happens to reach it.

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
        deadline = self._now() + call.timeout_s + _GRACE_S
        environments = 1
        while True:
            unread = ""
            try:
                found = await self._transfers.answer(objects.result_key)
            except LambdaContainerError as exc:
                # Whatever broke the connection may keep S3 out of reach, too.
                log.warning("S3 did not say whether the answer is there: %s", exc)
                found, unread = None, f" Last of all: {exc}"
            found = found or await self._recall(call, objects.task_id, environments)
            if found is not None:
                return found
            if self._now() > deadline:
                raise InvocationError(
                    f"The connection to function {call.function_name} broke ({lost}), and no "
                    "answer of its task was found. The task may have run; it was not run again."
                    + unread,
                )
            await self._sleep(min(call.poll_interval_s, max(deadline - self._now(), 0.1)))
            environments = _RECALLED_ENVIRONMENTS

    async def _recall(self, call: Call, task_id: str, environments: int) -> dict[str, Any] | None:
        """Ask some of the function's execution environments, at once, for a task's answer."""
        hold_s = 0.0 if environments == 1 else _RECALL_HOLD_S
        question = {"v": wire.VERSION, "recall": task_id, "hold_s": hold_s}
        event = json.dumps(question).encode()

        async def ask() -> dict[str, Any] | None:
            try:
                reply = await self._invocations.invoke(
                    call.function_name, event, timeout_s=call.timeout_s
                )
            except (NotAccepted, ConnectionLost, FunctionMissing, LambdaContainerError) as exc:
                log.debug("Function %s could not be asked: %s", call.function_name, exc)
                return None
            recalled: dict[str, Any] | None = reply.payload.get("recalled")
            return recalled

        answers = await asyncio.gather(*(ask() for _ in range(environments)))
        return next((answer for answer in answers if answer is not None), None)
