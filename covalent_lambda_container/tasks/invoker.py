"""One task to one outcome: how it travels, what may be tried again, and what a failure means."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from covalent_lambda_container import step_log
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.concurrency.event_loop import BRIEF_BYTES, PerLoop, in_thread
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    LambdaContainerError,
    PayloadTooLarge,
    TaskOutOfMemory,
    TaskTimedOut,
    VersionMismatch,
)
from covalent_lambda_container.model.names import OBJECT_PREFIX
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    FunctionMissing,
    Invocations,
    NotAccepted,
    Reply,
    Unreachable,
)
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.cancel_signs import CancelSign, CancelSigns
from covalent_lambda_container.tasks.s3_envelope import packed_task, read_answer

log = logging.getLogger(__name__)

Value = TypeVar("Value")

INLINE_LIMIT: Final = wire.LAMBDA_PAYLOAD_LIMIT - 64 * 1024
"""Bytes of a request or an answer that still travels inline; the rest is left to the envelope."""

DURABLE_AFTER_S: Final = 10.0
"""A task that ran longer writes its answer to S3, where a lost connection cannot lose it."""

_PATIENCE_S: Final = 900.0
"""How long a task that Lambda does not accept is offered again."""

_CANCEL_POLL_S: Final = 2.0
"""Longest time between two looks of the handler for the sign of a cancellation."""

_AT_S3: Final = 32
"""Tasks and answers on their way to S3 or from there at once. Each has a thread, connections and
megabytes in memory; those of a wide lattice may end in the same second."""

_UNREACHABLE_PATIENCE_S: Final = 60.0
"""How long AWS may be out of reach: Lambda for a task, S3 for an answer that is there."""

_LONGEST_DELAY_S: Final = 5.0
_GRACE_S: Final = 10.0
_RECALLED_ENVIRONMENTS: Final = 4
_RECALL_HOLD_S: Final = 0.2


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a task ended.

    Parameters
    ----------
    completed
        False when the task raised.
    header, text, pickled
        Of its result: TransportableObject header, ``str``, base64 text of the pickle.
    stdout, stderr
        What it printed.
    error
        ``{"type", "message", "traceback", "advice", "missing_module"}`` of what it raised, the last
        two empty where there is nothing to say; or None.
    usage
        What the handler measured: ``{"cold", "duration_ms", "peak_memory_mb"}``.
    log_tail
        End of the invocation's log; empty when the answer did not come with the invocation.
    """

    completed: bool
    header: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    pickled: str = ""
    stdout: str = ""
    stderr: str = ""
    error: dict[str, str] | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    log_tail: str = ""


@dataclass(frozen=True, kw_only=True)
class Call:
    """One task on its way.

    Parameters
    ----------
    function_name
        The function that runs it.
    payload, payload_bytes
        The task as `wire` defines it, leaves base64 text; and the length of the leaves.
    dispatch_id, node_id
        Covalent's names for it.
    timeout_s, memory_mb
        The function's.
    poll_interval_s
        Seconds between looks for an answer whose connection was lost.
    cleanup
        Whether its S3 objects are removed at the end.
    """

    function_name: str
    payload: dict[str, Any]
    payload_bytes: int
    dispatch_id: str
    node_id: int
    timeout_s: int
    memory_mb: int
    poll_interval_s: float
    cleanup: bool


@dataclass(kw_only=True)
class _Objects:
    """The S3 objects of one task: their keys, and which of them may exist."""

    task_id: str
    task_key: str
    result_key: str
    used: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, call: Call) -> _Objects:
        task_id = uuid.uuid4().hex
        prefix = f"{OBJECT_PREFIX}{call.dispatch_id}/{call.node_id}-{task_id}"
        return cls(task_id=task_id, task_key=f"{prefix}/task", result_key=f"{prefix}/result")


class Invoker:
    """Runs tasks on functions.

    Parameters
    ----------
    invocations, blobs
        The outside systems.
    sleep, now
        Clock, for tests.
    """

    def __init__(
        self,
        invocations: Invocations,
        blobs: BlobStore,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._invocations = invocations
        self._blobs = blobs
        self._signs = CancelSigns(blobs)
        self._at_s3 = PerLoop(lambda: asyncio.Semaphore(_AT_S3))
        self._sleep = sleep
        self._now = now

    async def run(self, call: Call, cancellation: Cancellation) -> Outcome:
        """Run a task once and return how it ended.

        Raises
        ------
        Cancelled
            The task was called off; if it had been sent, its function was told.
        FunctionMissing
            The function is gone; nothing ran.
        InvocationError
            The task did not end by itself: the subclass says how.
        """
        cancellation.check()
        objects = _Objects.of(call)
        sign = self._signs.of(call.dispatch_id, objects.task_id)
        cancellation.on_request(sign.put)
        try:
            event = await self._event(call, objects)
            cancellation.check()
            started = time.perf_counter()
            answer = await self._answer(call, event, objects, cancellation)
            facts = {"function": call.function_name, "status": answer.get("status")}
            facts |= answer.get("usage", {})
            step_log.record("task.invoke", f"{call.dispatch_id}:{call.node_id}", started, facts)
        finally:
            if sign.close() or objects.used:
                await self._with_s3(self._clean, call, objects, sign)
        return _outcome(answer)

    async def _with_s3(self, work: Callable[..., Value], *args: Any) -> Value:
        async with self._at_s3.get():
            return await in_thread(work, *args)

    async def _event(self, call: Call, objects: _Objects) -> bytes:
        # A URL outlives the invocation that uses it, throttling included.
        valid_s = call.timeout_s + int(_PATIENCE_S) + 60
        event: dict[str, Any] = {
            "v": wire.VERSION,
            "id": objects.task_id,
            "result_url": self._blobs.write_url(objects.result_key, valid_s=valid_s),
            "cancel_url": self._signs.url(call.dispatch_id, valid_s=valid_s),
            "cancel_poll_s": min(call.poll_interval_s / 2, _CANCEL_POLL_S),
            "inline_limit": INLINE_LIMIT,
            "durable_after_s": DURABLE_AFTER_S,
            "dispatch_id": call.dispatch_id,
            "node_id": call.node_id,
        }
        if call.payload_bytes <= BRIEF_BYTES:
            return json.dumps(event | {"task": call.payload}).encode()
        return await self._with_s3(self._long_event, call, objects, event, valid_s)

    def _long_event(
        self, call: Call, objects: _Objects, event: dict[str, Any], valid_s: int
    ) -> bytes:
        if call.payload_bytes <= INLINE_LIMIT:
            inline = json.dumps(event | {"task": call.payload}).encode()
            if len(inline) <= wire.LAMBDA_PAYLOAD_LIMIT:
                return inline
        objects.used.append(objects.task_key)
        self._blobs.put(objects.task_key, packed_task(call.payload))
        event["task_url"] = self._blobs.read_url(objects.task_key, valid_s=valid_s)
        return json.dumps(event).encode()

    async def _answer(
        self, call: Call, event: bytes, objects: _Objects, cancellation: Cancellation
    ) -> dict[str, Any]:
        try:
            reply = await self._accepted(call, event, cancellation)
        except ConnectionLost as exc:
            objects.used.append(objects.result_key)
            return await self._recover(call, objects, exc)
        if reply.function_error:
            raise _failure(call, reply)
        answer = reply.payload
        if answer.get("result_at") == "s3":
            objects.used.append(objects.result_key)
            stored = await self._awaited_answer(objects)
            if stored is None:
                raise InvocationError(
                    f"Function {call.function_name} reported its result in S3, but "
                    f"{objects.result_key} is not there.",
                    hint="Does a lifecycle rule of the bucket, or another process, remove objects?",
                )
            answer = stored
        return answer | {"log_tail": reply.log_tail}

    async def _stored_answer(self, objects: _Objects) -> dict[str, Any] | None:
        return await self._with_s3(self._blobs.read, objects.result_key, read_answer)

    async def _awaited_answer(self, objects: _Objects) -> dict[str, Any] | None:
        """Read an answer that is in S3 and nowhere else: it is worth some patience."""
        patience_ends = self._now() + _UNREACHABLE_PATIENCE_S
        while True:
            try:
                return await self._stored_answer(objects)
            except LambdaContainerError as exc:
                if self._now() + _LONGEST_DELAY_S > patience_ends:
                    raise
                log.warning("The answer of task %s is read again: %s", objects.task_id, exc)
            await self._sleep(_LONGEST_DELAY_S)

    async def _accepted(self, call: Call, event: bytes, cancellation: Cancellation) -> Reply:
        """Offer the task until Lambda takes it; once it has been taken, never again."""
        started = reached = self._now()
        longest_s = 0.25
        while True:
            try:
                return await self._invocations.invoke(
                    call.function_name, event, timeout_s=call.timeout_s
                )
            except NotAccepted as exc:
                if isinstance(exc, Unreachable):
                    since, patience_s = reached, _UNREACHABLE_PATIENCE_S
                else:
                    reached = self._now()
                    since, patience_s = started, _PATIENCE_S
                delay_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311 - jitter, no secret
                if self._now() + delay_s > since + patience_s:
                    raise InvocationError(
                        f"Function {call.function_name} was not started within {patience_s:.0f} "
                        f"s: {exc}",
                        hint=exc.hint,
                    ) from exc
            await self._sleep(delay_s)
            cancellation.check()
            longest_s = min(longest_s * 2, _LONGEST_DELAY_S)

    async def _recover(self, call: Call, objects: _Objects, lost: ConnectionLost) -> dict[str, Any]:
        """Look for the answer of a task whose connection broke, until it cannot come any more.

        A task that ran long has put it into S3; one that did not may still be in the memory of the
        execution environment that ran it, which answers if it is asked by chance.
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
                found = await self._stored_answer(objects)
            except LambdaContainerError as exc:
                # What broke the connection may keep S3 out of reach, too.
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

    def _clean(self, call: Call, objects: _Objects, sign: CancelSign) -> None:
        try:
            sign.remove()
            if objects.used and call.cleanup:
                self._blobs.delete(objects.used)
        except LambdaContainerError as exc:
            # The task's outcome is worth more than tidiness.
            log.warning("S3 objects of task %s stay behind: %s", objects.task_id, exc)


def _outcome(answer: dict[str, Any]) -> Outcome:
    if answer.get("v") != wire.VERSION:
        raise VersionMismatch(
            f"The image answered with envelope version {answer.get('v')!r}; this dispatcher reads "
            f"version {wire.VERSION}."
        )
    if answer["status"] == wire.CANCELLED:
        raise Cancelled
    result = answer.get("result") or {}
    return Outcome(
        completed=answer["status"] == wire.COMPLETED,
        header=result.get("header", {}),
        text=result.get("string", ""),
        pickled=result.get("pickle", ""),
        stdout=answer["stdout"],
        stderr=answer["stderr"],
        error=answer["error"],
        usage=answer.get("usage", {}),
        log_tail=answer.get("log_tail", ""),
    )


def _failure(call: Call, reply: Reply) -> InvocationError:
    """Say what an invocation without an answer means."""
    kind = str(reply.payload.get("errorType", ""))
    message = str(reply.payload.get("errorMessage", ""))
    logged = f"\nLast log lines:\n{reply.log_tail.strip()}" if reply.log_tail.strip() else ""
    where = f"Task {call.dispatch_id}:{call.node_id} on function {call.function_name}"
    if kind == "Sandbox.Timedout" or "Task timed out" in message:
        return TaskTimedOut(
            f"{where} did not end within {call.timeout_s} s.{logged}",
            hint="Raise the option timeout (up to 900 s), or memory_size, which brings CPU along.",
        )
    if kind == "Runtime.OutOfMemory" or "signal: killed" in message:
        return TaskOutOfMemory(
            f"{where} was killed: most likely it needed more than its {call.memory_mb} MB "
            f"({message}).{logged}",
            hint="Raise the option memory_size (up to 10240 MB).",
        )
    if kind == "Function.ResponseSizeTooLarge":
        return PayloadTooLarge(f"{where} answered with more than Lambda carries: {message}{logged}")
    return FunctionCrashed(f"{where} ended without an answer: {kind}: {message}{logged}")
