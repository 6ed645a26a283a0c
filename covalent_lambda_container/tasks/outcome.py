"""A task's outcome, read from its function's answer or from Lambda's report of a failure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final

from covalent_lambda_container.concurrency.cancellation import Cancelled
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    PayloadTooLarge,
    ResultNotStored,
    TaskOutOfMemory,
    TaskTimedOut,
)
from covalent_lambda_container.model.places import Place
from covalent_lambda_container.ports.functions import Reply
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.usage import Usage

_LONGEST_MESSAGE: Final = 4096
"""Characters shown of Lambda's report, which a task can influence."""
_LAMBDAS_LINE: Final = re.compile(
    r"^(?:(?:START|END|REPORT) RequestId: |INIT_START |RESTORE_|(?:EXTENSION|TELEMETRY|LOGS)\t"
    r"|XRAY |.*\(rapid\) ).*\n?",
    re.MULTILINE,
)
"""What Lambda, or the emulator in the image, adds to a function's log: it helps no one here."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The end of a task: its answer, or an error.

    Parameters
    ----------
    completed
        False if the task raised an exception.
    header, text, pickled
        The result's TransportableObject header, its ``str``, and its pickle as base64 text.
    stdout, stderr
        The task's output.
    error
        ``{"type", "message", "traceback", "advice", "missing_module", "out_of_memory", "loading"}``
        of the exception, with empty advice and module if there are none; or None.
        ``out_of_memory`` says whether it, or its cause, is a MemoryError or ENOMEM; ``loading``
        whether the function and values were still being unpickled.
    usage
        The handler's measurements: ``{"cold", "duration_ms", "peak_memory_mb"}``.
    log_tail
        End of the invocation's log; empty if the answer did not come with the invocation.
    used
        The task's usage, with its function's configuration; None if the handler did not report it.
    """

    completed: bool
    header: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    pickled: str = ""
    stdout: str = ""
    stderr: str = ""
    error: dict[str, Any] | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    log_tail: str = ""
    used: Usage | None = None


def outcome_of(call: Call, answer: dict[str, Any]) -> Outcome:
    """Return how a task ended, from its validated answer.

    Raises
    ------
    Cancelled
        The function ended the task because it was cancelled.
    InvocationError
        The task's process ended without an answer, or the answer could not be stored.
    """
    status = answer["status"]
    if status == wire.CANCELLED:
        raise Cancelled
    if status in (wire.CRASHED, wire.NOT_STORED):
        error, printed = answer["error"], answer["stdout"] + answer["stderr"]
        log = answer.get("log_tail") or printed
        problem = _explained(call, error["type"], error["message"], log)
        problem.usage, problem.log_tail = answer.get("usage") or {}, answer.get("log_tail", "")
        raise problem
    result = answer.get("result") or {}
    return Outcome(
        completed=status == wire.COMPLETED,
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
    """Return the error for an invocation that Lambda reports as failed."""
    said = reply.payload if isinstance(reply.payload, dict) else {}
    kind, message = str(said.get("errorType", "")), str(said.get("errorMessage", ""))
    return _explained(call, kind, message, reply.log_tail)


def _explained(call: Call, kind: str, message: str, log: str) -> InvocationError:
    kind, message = kind[:_LONGEST_MESSAGE], message[:_LONGEST_MESSAGE]
    printed = _LAMBDAS_LINE.sub("", log[-_LONGEST_MESSAGE:]).strip()
    logged = f"\nLast log lines:\n{printed}" if printed else ""
    # Before anything that a task can influence: see `recorded_place`.
    place = Place(call.function_name, call.image_tag)
    where = f"(task {call.dispatch_id}:{call.node_id} on {place})"
    if kind == "Sandbox.Timedout" or "Task timed out" in message:
        return TaskTimedOut(
            f"The task did not end within {call.timeout_s} s {where}.{logged}",
            hint="Raise the option timeout (up to 900 s), or memory_size: CPU grows with it.",
        )
    if kind == "Runtime.OutOfMemory" or "signal: killed" in message:
        return TaskOutOfMemory(
            f"The task was killed {where}: most likely it needed more than its {call.memory_mb} MB "
            f"({message}).{logged}",
            hint="Raise the option memory_size (up to 10240 MB), or set max_memory_size: the task "
            "is then rerun with twice the memory, up to that limit.",
        )
    if kind == "Function.ResponseSizeTooLarge":
        return PayloadTooLarge(
            f"The task answered with more than Lambda transmits {where}: {message}{logged}"
        )
    if kind == "ResultNotStored":
        return ResultNotStored(
            f"The task {where} ended, but its result could not be stored in S3: {message}. It was "
            f"not run again.{logged}",
            hint=_s3_advice(message, "s3:PutObject"),
        )
    if kind == "TaskNotRead":
        return InvocationError(
            f"The task {where} did not begin: its function could not read it from S3: "
            f"{message}.{logged}",
            hint=_s3_advice(message, "s3:GetObject"),
        )
    if kind == "TaskNotKept":
        return InvocationError(
            f"The task {where} did not begin: its function could not keep it in memory: "
            f"{message}.{logged}",
            hint="Raise the option memory_size, or ephemeral_storage if /tmp is full.",
        )
    return FunctionCrashed(f"The task ended without an answer {where}: {kind}: {message}{logged}")


def _s3_advice(said: str, action: str) -> str:
    """Return advice for a request that a function sent to S3 with a URL of the dispatcher's."""
    if "xpired" in said:
        return (
            "The function's URLs end with the credentials that signed them. Give the dispatcher "
            "credentials that last longer than its tasks, and check the clock of its machine."
        )
    if "HTTP 403" in said:
        return (
            f"The function's URLs have the permissions of the dispatcher's identity: allow it "
            f"{action} on covalent-lambda/* in the bucket, and the KMS key if the bucket has one. "
            "Check that no policy of the bucket or of a VPC endpoint denies requests from the "
            "function's network."
        )
    return (
        "If S3 was unavailable for a while, dispatch the electron again. A larger timeout leaves "
        "more time for retries."
    )
