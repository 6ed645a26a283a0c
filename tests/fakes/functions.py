"""Lambda functions whose execution environments are processes of this machine."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timezone
from functools import partial
from typing import Any

from covalent_lambda_container.concurrency.event_loop import in_thread
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.model.names import OWN_TAG
from covalent_lambda_container.model.specs import FunctionSpec
from covalent_lambda_container.ports.functions import (
    ACTIVE,
    FAILED,
    INACTIVE,
    PENDING,
    ConnectionLost,
    CredentialsRefused,
    FunctionMissing,
    FunctionRecord,
    FunctionState,
    NotAccepted,
    Reply,
    Unreachable,
)
from covalent_lambda_container.runtime.wire import LAMBDA_PAYLOAD_LIMIT
from tests.fakes.clock import FakeClock
from tests.fakes.environment import Environment

_WAKING_S = 20.0
_LONGEST_HOLD_S = 0.02
"""Tests do not wait as long as dispatchers do."""


class FakeFunctions:
    """Functions that run the real handler while the context is open.

    Parameters
    ----------
    clock
        The clock of those who wait for the functions.

    Attributes
    ----------
    states
        State of every function there is; tests may set it.
    created, deleted
        Specs of the functions made and names of those deleted, in order.
    executions
        Events of the tasks that really ran.
    offers
        How many times a task was offered.
    task_duration_s
        How long a task seems to take.
    modified
        When the functions were made; tests may set it.
    own_tags
        Tags that every function gets.
    """

    def __init__(self, clock: FakeClock | None = None) -> None:
        self.states: dict[str, FunctionState] = {}
        self.created: list[FunctionSpec] = []
        self.deleted: list[str] = []
        self.executions: list[dict[str, Any]] = []
        self.offers = 0
        self.task_duration_s = 0.0
        self.descriptions: dict[str, str] = {}
        self.modified: dict[str, datetime] = {}
        self.own_tags = dict([OWN_TAG])
        self._clock = clock or FakeClock()
        self._lock = threading.Lock()
        self._idle: list[Environment] = []
        self._over = False
        self._failing_creations: list[str] = []
        self._refusals: list[NotAccepted] = []
        self._replies: list[Reply] = []
        self._lost: list[tuple[bool, bool]] = []
        self._ended_late = False

    def __enter__(self) -> FakeFunctions:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            # A cancelled task's invocation may end after its test.
            self._over = True
        self.discard_environments()

    @property
    def environments(self) -> int:
        """The number of warm environments."""
        return len(self._idle)

    def discard_environments(self) -> None:
        """Take down the warm environments, as Lambda does when it likes."""
        while self._idle:
            self._idle.pop().close()

    def fail_next_creations(self, *reasons: str) -> None:
        """Let the next functions become Failed, for these reasons."""
        self._failing_creations.extend(reasons)

    def throttle(self, times: int) -> None:
        """Refuse the next tasks so many times."""
        said, hint = "TooManyRequestsException: Rate Exceeded.", "Raise the concurrency quota."
        self._refusals += [NotAccepted(said, hint)] * times

    def refuse_old_credentials(self) -> None:
        """Refuse the next task, whose credentials are then replaced."""
        self._refusals.append(CredentialsRefused("UnrecognizedClientException"))

    def be_unreachable(self, times: int) -> None:
        """Let so many connections fail before anything is sent."""
        self._refusals += [Unreachable("Could not connect to the endpoint URL")] * times

    def lose_connection(self, *, arrives: bool = True, survives: bool = True) -> None:
        """Break the connection of the next invocation.

        Parameters
        ----------
        arrives
            Whether the task runs all the same.
        survives
            Whether the environment that ran it stays warm.
        """
        self._lost.append((arrives, survives))

    def end_after_answer(self) -> None:
        """Report the next task as timed out, although its handler has just answered."""
        self._ended_late = True

    def reply_next_with(self, reply: Reply) -> None:
        """Answer the next invocation with this, and run nothing."""
        self._replies.append(reply)

    def role_arn(self, name: str) -> str:
        return f"arn:aws:iam::123456789012:role/{name}"

    def find(self, name: str) -> FunctionState | None:
        return self.states.get(name)

    def create(self, spec: FunctionSpec, description: str = "") -> None:
        with self._lock:
            if spec.name not in self.states:
                self.states[spec.name] = FunctionState(
                    state=PENDING, reason="The function is being created."
                )
                self.created.append(spec)
                self.descriptions[spec.name] = description
                self.modified[spec.name] = datetime.now(timezone.utc)

    def wait_active(self, name: str) -> FunctionState:
        with self._lock:
            state = self.states.get(name)
            if state is None:
                raise FunctionMissing(name)
            if state.state == PENDING:
                if self._failing_creations:
                    state = FunctionState(state=FAILED, reason=self._failing_creations.pop(0))
                else:
                    state = FunctionState(state=ACTIVE)
                self.states[name] = state
            return state

    def delete(self, name: str) -> None:
        with self._lock:
            if self.states.pop(name, None):
                self.deleted.append(name)

    def list_functions(self) -> list[FunctionRecord]:
        with self._lock:
            return [
                FunctionRecord(
                    name=spec.name,
                    image=spec.image.uri,
                    memory_mb=spec.memory_mb,
                    modified=self.modified[spec.name],
                    tags=dict(spec.tags) | self.own_tags,
                    description=self.descriptions[spec.name],
                )
                for spec in {spec.name: spec for spec in self.created}.values()
                if spec.name in self.states
            ]

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        # Its environments are processes, and block.
        return await in_thread(self._invoke, name, event, timeout_s)

    def _invoke(self, name: str, event: bytes, timeout_s: int) -> Reply:
        content = json.loads(event)
        state = self.states.get(name)
        if state is None:
            raise FunctionMissing(name)
        if len(event) > LAMBDA_PAYLOAD_LIMIT:
            raise InvocationError(f"invoke function {name!r}: RequestTooLargeException")
        if state.state == INACTIVE:
            # The invocation that wakes it is refused ("Lambda function states", developer guide).
            self.states[name] = FunctionState(state=PENDING, reason="The function is restored.")
            self._clock.after(_WAKING_S, partial(self._wake, name))
            raise NotAccepted("CodeArtifactUserPendingException: still being provisioned")
        if state.state in (PENDING, FAILED):
            raise NotAccepted(f"ResourceConflictException: the function is {state.state}")
        if "task" in content or "task_url" in content:
            return self._invoke_task(name, content, timeout_s)
        hold_s = min(content.get("hold_s", 0), _LONGEST_HOLD_S)
        return self._in_environment(content | {"hold_s": hold_s}, timeout_s)

    def _wake(self, name: str) -> None:
        self.states[name] = FunctionState(state=ACTIVE)

    def _invoke_task(self, name: str, event: dict[str, Any], timeout_s: int) -> Reply:
        self.offers += 1
        if self._refusals:
            raise self._refusals.pop(0)
        if self._replies:
            return self._replies.pop(0)
        if self._lost:
            arrives, survives = self._lost.pop(0)
            if arrives:
                run = partial(self._execute, event, timeout_s, survives)
                self._clock.after(self.task_duration_s, run)
            raise ConnectionLost("Connection was closed before we received a valid response.")
        reply = self._execute(event, timeout_s, survives=not self._ended_late)
        self._clock.sleep(self.task_duration_s)
        if self._ended_late:
            self._ended_late = False
            said = f"Task timed out after {timeout_s}.00 seconds"
            failure = {"errorType": "Sandbox.Timedout", "errorMessage": said}
            return Reply(payload=failure, function_error="Unhandled")
        return reply

    def _execute(self, event: dict[str, Any], timeout_s: int, survives: bool = True) -> Reply:
        self.executions.append(event)
        # Its own clock is real, and cannot be made to wait.
        durable_after_s = event["durable_after_s"] - self.task_duration_s
        reply = self._in_environment(event | {"durable_after_s": durable_after_s}, timeout_s)
        if not survives:
            self.discard_environments()
        return reply

    def _in_environment(self, event: dict[str, Any], timeout_s: int) -> Reply:
        """Answer in a warm environment, or in a new one when all are busy."""
        with self._lock:
            environment = self._idle.pop() if self._idle else Environment()
        reply = environment.invoke(event, timeout_s)
        with self._lock:
            kept = environment.alive and not self._over
            if kept:
                self._idle.append(environment)
        if not kept:
            environment.close()
        return reply
