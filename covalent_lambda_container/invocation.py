"""One task to one outcome: how it travels, what may be tried again, and what a failure means."""

from __future__ import annotations

import base64
import json
import logging
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from covalent_lambda_container import journal
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    LambdaContainerError,
    PayloadTooLarge,
    TaskOutOfMemory,
    TaskTimedOut,
    VersionMismatch,
)
from covalent_lambda_container.ports import (
    BlobStore,
    ConnectionLost,
    Functions,
    NotAccepted,
    Reply,
)
from covalent_lambda_container.runtime import wire

log = logging.getLogger(__name__)

INLINE_LIMIT: Final = wire.LAMBDA_PAYLOAD_LIMIT - 64 * 1024
"""Bytes of a request or an answer that still travels inline; the rest is left to the envelope."""

DURABLE_AFTER_S: Final = 30.0
"""A task that ran longer writes its answer to S3, where a lost connection cannot lose it."""

_PATIENCE_S: Final = 900.0
"""How long a task that Lambda does not accept is offered again."""

_KEY_PREFIX: Final = "covalent-lambda"


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
        ``{"type", "message", "traceback"}`` of what it raised, or None.
    """

    completed: bool
    header: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    pickled: str = ""
    stdout: str = ""
    stderr: str = ""
    error: dict[str, str] | None = None


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


class Invoker:
    """Runs tasks on functions.

    Parameters
    ----------
    functions, blobs
        The outside systems.
    sleep, now
        Clock, for tests.
    """

    def __init__(
        self,
        functions: Functions,
        blobs: BlobStore,
        *,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._functions = functions
        self._blobs = blobs
        self._sleep = sleep
        self._now = now

    def run(self, call: Call) -> Outcome:
        """Run a task once and return how it ended.

        Raises
        ------
        FunctionMissing
            The function is gone; nothing ran.
        InvocationError
            The task did not end by itself: the subclass says how.
        """
        prefix = f"{_KEY_PREFIX}/{call.dispatch_id}/{call.node_id}-{uuid.uuid4().hex}"
        task_key, result_key = f"{prefix}/task", f"{prefix}/result"
        used: list[str] = []
        try:
            event = self._event(call, task_key, result_key, used)
            with journal.step("task.invoke", f"{call.dispatch_id}:{call.node_id}") as facts:
                answer = self._answer(call, event, result_key, used)
                facts.update(function=call.function_name, **answer.get("usage", {}))
        finally:
            if used and call.cleanup:
                self._clean(used)
        return _outcome(answer)

    def _event(self, call: Call, task_key: str, result_key: str, used: list[str]) -> bytes:
        # A URL outlives the invocation that uses it, throttling included.
        valid_s = call.timeout_s + int(_PATIENCE_S) + 60
        event: dict[str, Any] = {
            "v": wire.VERSION,
            "result_url": self._blobs.write_url(result_key, valid_s=valid_s),
            "inline_limit": INLINE_LIMIT,
            "durable_after_s": DURABLE_AFTER_S,
            "dispatch_id": call.dispatch_id,
            "node_id": call.node_id,
        }
        if call.payload_bytes <= INLINE_LIMIT:
            inline = json.dumps(event | {"task": call.payload}).encode()
            if len(inline) <= wire.LAMBDA_PAYLOAD_LIMIT:
                return inline
        used.append(task_key)
        self._blobs.put(task_key, wire.pack_task(call.payload))
        event["task_url"] = self._blobs.read_url(task_key, valid_s=valid_s)
        return json.dumps(event).encode()

    def _answer(self, call: Call, event: bytes, result_key: str, used: list[str]) -> dict[str, Any]:
        try:
            reply = self._accepted(call, event)
        except ConnectionLost as exc:
            used.append(result_key)
            return self._recover(call, result_key, exc)
        if reply.function_error:
            raise _failure(call, reply)
        answer = reply.payload
        if answer.get("result_at") == "s3":
            used.append(result_key)
            stored = self._stored_answer(result_key)
            if stored is None:
                raise InvocationError(
                    f"Function {call.function_name} reported its result in S3, but {result_key} "
                    "is not there.",
                    hint="Does a lifecycle rule of the bucket, or another process, remove objects?",
                )
            return stored
        return answer

    def _accepted(self, call: Call, event: bytes) -> Reply:
        """Offer the task until Lambda takes it; once it has been taken, never again."""
        patience_ends = self._now() + _PATIENCE_S
        longest_s = 0.25
        while True:
            try:
                return self._functions.invoke(call.function_name, event, timeout_s=call.timeout_s)
            except NotAccepted as exc:
                delay_s = random.uniform(longest_s / 2, longest_s)  # noqa: S311 - jitter, no secret
                if self._now() + delay_s > patience_ends:
                    raise InvocationError(
                        f"Function {call.function_name} was not started within {_PATIENCE_S:.0f} "
                        f"s: {exc}",
                        hint="Raise the account's concurrency quota for Lambda, or run fewer "
                        "electrons at once.",
                    ) from exc
            self._sleep(delay_s)
            longest_s = min(longest_s * 2, 20.0)

    def _recover(self, call: Call, result_key: str, lost: ConnectionLost) -> dict[str, Any]:
        """Look for the answer of a task whose connection broke, until it cannot come any more."""
        log.warning(
            "The connection to function %s broke (%s): looking for its result in S3.",
            call.function_name,
            lost,
        )
        deadline = self._now() + call.timeout_s + 10
        while True:
            stored = self._stored_answer(result_key)
            if stored is not None:
                return stored
            if self._now() > deadline:
                raise InvocationError(
                    f"The connection to function {call.function_name} broke ({lost}), and no "
                    f"result of it is in S3. The task may have run; it was not run again.",
                ) from lost
            self._sleep(call.poll_interval_s)

    def _stored_answer(self, key: str) -> dict[str, Any] | None:
        packed = self._blobs.get(key)
        if packed is None:
            return None
        answer, blobs = wire.unpack(packed)
        if blobs:
            answer["result"]["pickle"] = base64.b64encode(blobs[0]).decode()
        return answer

    def _clean(self, keys: list[str]) -> None:
        try:
            self._blobs.delete(keys)
        except LambdaContainerError as exc:
            # The task's outcome is worth more than tidiness.
            log.warning("S3 objects %s stay behind: %s", keys, exc)


def _outcome(answer: dict[str, Any]) -> Outcome:
    if answer.get("v") != wire.VERSION:
        raise VersionMismatch(
            f"The image answered with envelope version {answer.get('v')!r}; this dispatcher reads "
            f"version {wire.VERSION}."
        )
    result = answer.get("result") or {}
    return Outcome(
        completed=answer["status"] == wire.COMPLETED,
        header=result.get("header", {}),
        text=result.get("string", ""),
        pickled=result.get("pickle", ""),
        stdout=answer["stdout"],
        stderr=answer["stderr"],
        error=answer["error"],
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
