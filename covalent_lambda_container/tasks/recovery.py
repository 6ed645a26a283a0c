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
"""A task that ran longer stores its answer in S3 before it answers, so that a lost connection
cannot lose it. Answers of shorter tasks, to which a PUT would add 20 to 50 ms and its price, are
kept in the memory of their execution environment for a while."""

_CAUTIOUS_S: Final = 600.0
"""How long, after a connection broke, the answers of all tasks are stored in S3 first."""

_IDLE_S: Final = 600.0
"""Seconds after which an unused execution environment is assumed to be gone."""

_GRACE_S: Final = 30.0
"""How much longer than the function's timeout to look for an answer: a new execution environment
loads the image and initialises, which takes up to 10 s, before the timeout begins to count (AWS
Lambda Developer Guide, "Understanding the Lambda execution environment lifecycle")."""

_IDS: Final = 500
"""Most ids of lost answers in one event: 18 KB."""

_HOLD_S: Final = 1.0
_HOLD_EACH_S: Final = 0.02
"""How long questions occupy their environments, so that each reaches a different one."""

_LONGEST_HOLD_PART: Final = 0.5
"""The same, at most, as a part of the function's timeout: Lambda ends an environment whose time is
up, and the answers in its memory would end with it."""

_QUESTION_S: Final = 60.0
"""How long a question may take, in addition, to start an environment and to store answers."""

_LONGEST_PAUSE_S: Final = 60.0
"""Longest time between rounds of questions."""


@dataclass(eq=False)
class _Function:
    """One function, as this process has seen it.

    Parameters
    ----------
    in_flight
        Invocations in progress.
    environments
        Most accepted invocations at once: each had its own execution environment.
    started
        Environments that questions have started.
    used
        When the last invocation ended.
    lost
        Keys of missing answers, by task id; those that were not asked for lately come first.
    next_round, pause_s
        When to ask again, and how long to wait after that.
    hold_factor
        How much longer than usual questions have to occupy their environments.
    """

    in_flight: int = 0
    environments: int = 0
    started: int = 0
    used: float = 0.0
    lost: dict[str, str] = field(default_factory=dict)
    next_round: float = 0.0
    pause_s: float = 0.0
    hold_factor: float = 1.0
    round: asyncio.Future[None] | None = None


@dataclass(frozen=True, kw_only=True)
class _Reply:
    """An environment's reply to a question.

    Parameters
    ----------
    environment
        Its name; None if its image is older than that.
    stored
        Tasks whose answers it has stored in S3.
    cold
        Whether the question started it.
    """

    environment: str | None
    stored: list[str]
    cold: bool


class Recovery:
    """Finds the answers of tasks whose connections broke.

    The answer of a long task is in S3 when it ends. That of a shorter task is in the memory of the
    execution environment that ran it, which stores it in S3 when an event asks for it: every task
    that is sent carries the ids of lost answers, and so do rounds of questions. A round asks all
    environments at once, with one invocation each; these last a moment so that each occupies a
    different environment, and longer if some were found to be asked twice. Every function has one
    round at a time, for all missing answers, and never more questions than known environments.
    Questions that come while environments are still busy start new ones, at most one for each
    missing answer.

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
        self._functions: PerLoop[dict[str, _Function]] = PerLoop(dict)
        self._last_loss: float | None = None

    @contextmanager
    def in_flight(self, function_name: str) -> Iterator[None]:
        """Count an invocation while the context is open, and its environment if it was accepted."""
        function = self._function(function_name)
        if not function.in_flight and self._now() > function.used + _IDLE_S:
            function.environments = function.started = 0
        function.in_flight += 1
        accepted = True
        try:
            yield
        except (NotAccepted, FunctionMissing):
            accepted = False
            raise
        finally:
            if accepted:
                # As many as ever run at once are running when one of them ends. Those that Lambda
                # is about to refuse are not counted: they have no environment.
                function.environments = max(function.environments, function.in_flight)
                function.used = self._now()
            function.in_flight -= 1

    def instructions(self, function_name: str) -> dict[str, Any]:
        """Return the entry of a task's event for its own answer and for lost ones."""
        cautious = self._last_loss is not None and self._now() < self._last_loss + _CAUTIOUS_S
        said: dict[str, Any] = {"durable_after_s": 0.0 if cautious else DURABLE_AFTER_S}
        lost = self._function(function_name).lost
        if lost:
            said["store"] = list(lost)[:_IDS]
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
        function = self._function(call.function_name)
        self._last_loss = self._now()
        # A short task that may have just begun ends before the first round. Older missing answers
        # may be asked for rarely by now.
        soon = self._now() + DURABLE_AFTER_S
        function.next_round = min(function.next_round, soon) if function.lost else soon
        function.pause_s = call.poll_interval_s
        function.lost[objects.task_id] = objects.result_key
        try:
            return await self._search(call, function, objects, lost)
        finally:
            function.lost.pop(objects.task_id, None)
            if function.round and not function.lost:
                function.round.cancel()

    async def _search(
        self, call: Call, function: _Function, objects: TaskObjects, lost: ConnectionLost
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
            if self._now() >= function.next_round:
                most_s = min(call.poll_interval_s, max(deadline - self._now(), 0.1))
                await self._join_round(call, function, most_s)
                if objects.task_id not in function.lost:
                    # An environment says that it has stored the answer. That may be untrue.
                    function.lost[objects.task_id] = objects.result_key
                    continue
            if function.round is None:
                pause_s = min(call.poll_interval_s, max(deadline - self._now(), 0.1))
                await self._sleep(min(pause_s, max(function.next_round - self._now(), 0.1)))

    async def _join_round(self, call: Call, function: _Function, most_s: float) -> None:
        """Wait for the function's round of questions, or a time; begin one if there is none.

        A question may take minutes. Meanwhile, the answer may arrive in S3, or its time be up.
        """
        if function.round is None:
            function.round = asyncio.ensure_future(self._ask_all(call, function))
            function.round.add_done_callback(lambda _: setattr(function, "round", None))
        asked = function.round
        await asyncio.wait([asked], timeout=most_s)
        if asked.done() and not asked.cancelled():
            asked.result()  # raises what nobody expected

    async def _ask_all(self, call: Call, function: _Function) -> None:
        known = max(function.environments, call.prewarmed) + function.started
        questions = max(known - function.in_flight, 1)
        hold_s = 0.0
        if questions > 1:
            hold_s = (_HOLD_S + questions * _HOLD_EACH_S) * function.hold_factor
            hold_s = min(hold_s, _LONGEST_HOLD_PART * call.timeout_s)
        lost = list(function.lost)[:_IDS]
        for task_id in lost:
            # The next round begins with the others.
            function.lost[task_id] = function.lost.pop(task_id)
        event = {"v": wire.VERSION, "ping": True, "hold_s": hold_s, "store": lost}
        content = json.dumps(event).encode()
        asked = [self._ask(call, content, hold_s + _QUESTION_S) for _ in range(questions)]
        replies = [reply for reply in await asyncio.gather(*asked) if reply]
        for reply in replies:
            for task_id in reply.stored:
                function.lost.pop(task_id, None)
        # While the environments of lost tasks are busy, questions start new ones, which would
        # answer the next round instead: that round has to reach all of them.
        started = min(function.started + sum(reply.cold for reply in replies), len(lost))
        function.started = max(function.started, started)
        names = [reply.environment for reply in replies if reply.environment is not None]
        if len(set(names)) < len(names):
            function.hold_factor *= 2
        function.next_round = self._now() + function.pause_s
        function.pause_s = min(2 * function.pause_s, _LONGEST_PAUSE_S)

    async def _ask(self, call: Call, event: bytes, most_s: float) -> _Reply | None:
        """Ask one execution environment; return its reply, or None if there was none in time."""
        invocation = self._invocations.invoke(call.function_name, event, timeout_s=call.timeout_s)
        try:
            reply = await asyncio.wait_for(invocation, most_s)
        except asyncio.TimeoutError:
            log.debug("Function %s did not answer a question.", call.function_name)
            return None
        except (NotAccepted, ConnectionLost, FunctionMissing, LambdaContainerError) as exc:
            log.debug("Function %s could not be asked: %s", call.function_name, exc)
            return None
        said = reply.payload if isinstance(reply.payload, dict) else {}
        stored, environment = said.get("stored"), said.get("environment")
        ids = stored if isinstance(stored, list) else []
        return _Reply(
            environment=environment if isinstance(environment, str) else None,
            stored=[task for task in ids if isinstance(task, str)],
            cold=said.get("cold") is True,
        )

    def _function(self, name: str) -> _Function:
        return self._functions.get().setdefault(name, _Function())
