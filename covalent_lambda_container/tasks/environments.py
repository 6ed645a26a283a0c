"""The execution environments of one function, and the missing answers that they may have."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    FunctionMissing,
    Invocations,
    NotAccepted,
)
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.call import Call

log = logging.getLogger(__name__)

_IDLE_S: Final = 600.0
"""Seconds after which an unused execution environment is assumed to be gone."""

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


class Environments:
    """The execution environments of one function, as this process has seen them.

    A round of questions asks all of them for missing answers at once, with one invocation each;
    these last a moment so that each occupies a different environment, and longer if some were found
    to be asked twice. There is one round at a time, for all missing answers, with never more
    questions than known environments. Questions that come while environments are still busy start
    new ones, at most one for each missing answer.

    Parameters
    ----------
    invocations
        Lambda.
    now
        Clock; replaced in tests.
    """

    def __init__(self, invocations: Invocations, now: Callable[[], float]) -> None:
        self._invocations = invocations
        self._now = now
        self._in_flight = 0
        # Most invocations that were accepted at once: each had its own environment.
        self._known = 0
        # Environments that questions have started.
        self._started = 0
        self._used = 0.0
        # Ids of tasks; those that were not asked for lately come first.
        self._missing: dict[str, None] = {}
        self._next_round = 0.0
        self._pause_s = 0.0
        # How much longer than usual questions have to occupy their environments.
        self._hold_factor = 1.0
        self._round: asyncio.Future[None] | None = None

    @property
    def missing(self) -> list[str]:
        """Ids of tasks whose answers are missing, as many as an event can carry."""
        return list(self._missing)[:_IDS]

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Count an invocation while the context is open, and its environment if it was accepted."""
        if not self._in_flight and self._now() > self._used + _IDLE_S:
            self._known = self._started = 0
            self._hold_factor = 1.0
        self._in_flight += 1
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
                self._known = max(self._known, self._in_flight)
                self._used = self._now()
            self._in_flight -= 1

    @contextmanager
    def asked_for(self, task_id: str, *, in_s: float, pause_s: float) -> Iterator[None]:
        """Have rounds ask for a task's answer while the context is open.

        Parameters
        ----------
        task_id
            The task.
        in_s
            When the next round has to come at the latest.
        pause_s
            Time between rounds, at first.
        """
        # Older missing answers may be asked for rarely by now.
        soon = self._now() + in_s
        self._next_round = min(self._next_round, soon) if self._missing else soon
        self._pause_s = pause_s
        self._missing[task_id] = None
        try:
            yield
        finally:
            self._missing.pop(task_id, None)
            if self._round and not self._missing:
                self._round.cancel()

    async def has_stored(self, call: Call, task_id: str, most_s: float) -> bool:
        """Wait for the round that is due, if there is one, or a time.

        A question may take minutes. Meanwhile, the answer may arrive in S3, or its time be up.

        Returns
        -------
        bool
            Whether an environment says that it has stored the task's answer. That may be untrue:
            the next round asks for it again.
        """
        if self._now() < self._next_round:
            return False
        if self._round is None:
            self._round = asyncio.ensure_future(self._ask_all(call))
            self._round.add_done_callback(lambda _: setattr(self, "_round", None))
        asked = self._round
        await asyncio.wait([asked], timeout=most_s)
        if asked.done() and not asked.cancelled():
            asked.result()  # raises what nobody expected
        if task_id in self._missing:
            return False
        self._missing[task_id] = None
        return True

    def pause_s(self, most_s: float) -> float:
        """Return how long to wait for the next round; 0 if there is one."""
        return 0.0 if self._round else min(most_s, max(self._next_round - self._now(), 0.1))

    async def _ask_all(self, call: Call) -> None:
        known = max(self._known, call.prewarmed) + self._started
        questions = max(known - self._in_flight, 1)
        hold_s = 0.0
        if questions > 1:
            hold_s = (_HOLD_S + questions * _HOLD_EACH_S) * self._hold_factor
            hold_s = min(hold_s, _LONGEST_HOLD_PART * call.timeout_s)
        lost = self.missing
        for task_id in lost:
            # The next round begins with the others.
            self._missing[task_id] = self._missing.pop(task_id)
        event = {"v": wire.VERSION, "ping": True, "hold_s": hold_s, "store": lost}
        content = json.dumps(event).encode()
        asked = [self._ask(call, content, hold_s + _QUESTION_S) for _ in range(questions)]
        replies = [reply for reply in await asyncio.gather(*asked) if reply]
        for reply in replies:
            for task_id in reply.stored:
                self._missing.pop(task_id, None)
        # While the environments of lost tasks are busy, questions start new ones, which would
        # answer the next round instead: that round has to reach all of them.
        started = min(self._started + sum(reply.cold for reply in replies), len(lost))
        self._started = max(self._started, started)
        names = [reply.environment for reply in replies if reply.environment is not None]
        if len(set(names)) < len(names):
            self._hold_factor *= 2
        self._next_round = self._now() + self._pause_s
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

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
