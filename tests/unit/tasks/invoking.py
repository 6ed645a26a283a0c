"""Shared by tests of invocations."""

from __future__ import annotations

import asyncio
from typing import Any

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.ports.functions import (
    Reply,
)
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome

NAME = "covalent-1-2"


LARGE = 5_000_000  # bytes; more than six megabytes as base64


class Runner:
    """An invoker, and the cancellation that nobody asks for."""

    def __init__(self, invoker: Invoker) -> None:
        self.invoker = invoker

    def run(self, call: Call, cancellation: Cancellation | None = None) -> Outcome:
        return asyncio.run(self.invoker.run(call, cancellation or Cancellation()))


def answer_of(reply: dict[str, Any]) -> Reply:
    return Reply(payload=reply)


def failure_of(kind: str, message: str, log_tail: str = "") -> Reply:
    payload = {"errorType": kind, "errorMessage": message}
    return Reply(payload=payload, function_error="Unhandled", log_tail=log_tail)
