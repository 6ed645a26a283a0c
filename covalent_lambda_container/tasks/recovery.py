"""The answers of tasks whose connections broke."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from covalent_lambda_container.concurrency.event_loop import PerLoop
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

DURABLE_AFTER_S: Final = 1.0
"""A task that ran longer stores its answer in S3 before it answers, where a lost connection cannot
lose it. The answers of shorter tasks, to which a PUT would add its 20 to 50 ms and its price, stay
in the memory of their execution environment for a while."""

_CAUTIOUS_S: Final = 600.0
"""How long, after a connection broke, the answers of all tasks are stored in S3 first."""

_IDLE_S: Final = 600.0
"""Seconds. An execution environment that was not used for this long is assumed to be gone."""

_GRACE_S: Final = 10.0
"""How long after a function's deadline its answer is still looked for."""

_IDS: Final = 500
"""Most ids of lost answers in one event: 18 KB."""

_HOLD_S: Final = 1.0
_HOLD_EACH_S: Final = 0.02
"""How long questions occupy their environments, so that each reaches another one."""

_LONGEST_PAUSE_S: Final = 60.0
"""Longest time between two rounds of questions."""


@dataclass(eq=False)
class _Function:
    """One function, as this process has seen it.

    Parameters
    ----------
    in_flight
        Invocations whose connections stand.
    environments
        Most of them at once: each had an execution environment of its own.
    used
        When the last of them ended.
    lost
        Keys of answers that are missing, by task id.
    next_round, pause_s
        When to ask again, and how long to wait after that.
    """

    in_flight: int = 0
    environments: int = 0
    used: float = 0.0
    lost: dict[str, str] = field(default_factory=dict)
    next_round: float = 0.0
    pause_s: float = 0.0
    round: asyncio.Future[None] | None = None


class Recovery:
    """Finds the answers of tasks whose connections broke.

    The answer of a task that took long is in S3 when it ends. That of a shorter task is in the
    memory of the execution environment that ran it, which puts it into S3 when an event asks it
    to: every task that is sent carries the ids of lost answers, and so do rounds of questions.
    A round asks all environments at once, in as many invocations, which stay for a moment so that
    each occupies another environment. Every function has one round at a time, for
    all answers that are missing, and never more questions than environments are known.

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
        self._functions: PerLoop[dict[str, _Function]] = PerLoop(dict)
        self._last_loss: float | None = None

    @contextmanager
    def in_flight(self, function_name: str) -> Iterator[None]:
        """Count an invocation while the context is open."""
        function = self._function(function_name)
        if not function.in_flight and self._now() > function.used + _IDLE_S:
            function.environments = 0
        function.in_flight += 1
        function.environments = max(function.environments, function.in_flight)
        try:
            yield
        finally:
            function.in_flight -= 1
            function.used = self._now()

    def instructions(self, function_name: str) -> dict[str, Any]:
        """Return what a task's event says on its own answer, and on lost ones."""
        cautious = self._last_loss is not None and self._now() < self._last_loss + _CAUTIOUS_S
        said: dict[str, Any] = {"durable_after_s": 0.0 if cautious else DURABLE_AFTER_S}
        lost = self._function(function_name).lost
        if lost:
            said["store"] = list(lost)[:_IDS]
        return said

    async def recover(
        self, call: Call, objects: TaskObjects, lost: ConnectionLost
    ) -> dict[str, Any]:
        """Look for the answer of a task whose connection broke, until it cannot come any more.

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
        function = self._function(call.function_name)
        self._last_loss = self._now()
        if not function.lost:
            # A task that is short, and may have begun just now, ends before the first round.
            function.next_round = self._now() + DURABLE_AFTER_S
            function.pause_s = call.poll_interval_s
        function.lost[objects.task_id] = objects.result_key
        try:
            return await self._search(call, function, objects, lost)
        finally:
            function.lost.pop(objects.task_id, None)

    async def _search(
        self, call: Call, function: _Function, objects: TaskObjects, lost: ConnectionLost
    ) -> dict[str, Any]:
        deadline = self._now() + call.timeout_s + _GRACE_S
        while True:
            unread = ""
            try:
                found = await self._transfers.answer(objects.result_key)
            except LambdaContainerError as exc:
                # Whatever broke the connection may keep S3 out of reach, too.
                log.warning("S3 did not say whether the answer is there: %s", exc)
                found, unread = None, f" Last of all: {exc}"
            if found is not None:
                return found
            if self._now() > deadline:
                raise InvocationError(
                    f"The connection to function {call.function_name} broke ({lost}), and no "
                    "answer of its task was found. The task may have run; it was not run again."
                    + unread,
                )
            if self._now() >= function.next_round:
                await self._one_round(call, function)
                if objects.task_id not in function.lost:
                    # An environment says that it has stored the answer. That may be untrue.
                    function.lost[objects.task_id] = objects.result_key
                    continue
            pause_s = min(call.poll_interval_s, max(deadline - self._now(), 0.1))
            await self._sleep(min(pause_s, max(function.next_round - self._now(), 0.1)))

    async def _one_round(self, call: Call, function: _Function) -> None:
        """Take part in the function's round of questions; begin it if there is none."""
        if function.round is None:
            function.round = asyncio.ensure_future(self._ask_all(call, function))
            function.round.add_done_callback(lambda _: setattr(function, "round", None))
        await asyncio.shield(function.round)

    async def _ask_all(self, call: Call, function: _Function) -> None:
        questions = max(function.environments - function.in_flight, 1)
        hold_s = 0.0 if questions == 1 else _HOLD_S + questions * _HOLD_EACH_S
        lost = list(function.lost)[:_IDS]
        event = {"v": wire.VERSION, "ping": True, "hold_s": hold_s, "store": lost}
        content = json.dumps(event).encode()
        replies = await asyncio.gather(*(self._ask(call, content) for _ in range(questions)))
        for stored, cold in replies:
            # While the environments of lost tasks are busy, questions start others, which would
            # answer the next round in their place: that round has to reach them all.
            function.environments += cold
            for task_id in stored:
                function.lost.pop(task_id, None)
        function.next_round = self._now() + function.pause_s
        function.pause_s = min(2 * function.pause_s, _LONGEST_PAUSE_S)

    async def _ask(self, call: Call, event: bytes) -> tuple[list[str], bool]:
        """Ask one execution environment.

        Returns
        -------
        stored : list of str
            Tasks whose answers it has put into S3.
        cold : bool
            Whether the question has started it.
        """
        try:
            reply = await self._invocations.invoke(
                call.function_name, event, timeout_s=call.timeout_s
            )
        except (NotAccepted, ConnectionLost, FunctionMissing, LambdaContainerError) as exc:
            log.debug("Function %s could not be asked: %s", call.function_name, exc)
            return [], False
        said = reply.payload if isinstance(reply.payload, dict) else {}
        stored = said.get("stored")
        ids = stored if isinstance(stored, list) else []
        return [task for task in ids if isinstance(task, str)], said.get("cold") is True

    def _function(self, name: str) -> _Function:
        return self._functions.get().setdefault(name, _Function())
