"""How a task ended, read from its function's answer or from Lambda's report of a failure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from covalent_lambda_container.concurrency.cancellation import Cancelled
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    PayloadTooLarge,
    TaskOutOfMemory,
    TaskTimedOut,
    VersionMismatch,
)
from covalent_lambda_container.ports.functions import Reply
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.usage import Usage

_LONGEST_MESSAGE: Final = 4096
"""Characters shown of what Lambda reports; a task may have chosen them."""


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
    used
        What the task used, with its function's configuration; None if the handler did not say.
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
    used: Usage | None = None


def outcome_of(answer: dict[str, Any]) -> Outcome:
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


def failure_of(call: Call, reply: Reply) -> InvocationError:
    """Say what an invocation without an answer means."""
    said = reply.payload if isinstance(reply.payload, dict) else {}
    kind = str(said.get("errorType", ""))[:_LONGEST_MESSAGE]
    message = str(said.get("errorMessage", ""))[:_LONGEST_MESSAGE]
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
