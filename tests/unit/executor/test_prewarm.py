"""Execution environments started before the first task."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.executor.prewarm import prewarm
from covalent_lambda_container.ports.functions import (
    ACTIVE,
    ConnectionLost,
    FunctionMissing,
    FunctionState,
    NotAccepted,
    Reply,
)
from tests.fakes import FakeClock, FakeFunctions
from tests.fakes.account_server import (
    Account,
    Executor,
    run,
)


def test_environments_are_started_at_once_before_the_first_task(
    account: Account, given: dict[str, Any]
) -> None:
    account.pings_at_once = threading.Barrier(5)
    assert run(Executor(**given, prewarm=5))[0] == 5
    assert account.operations[-6:] == ["Ping"] * 5 + ["Invoke"]
    assert account.sent("Invoke")[0] == {"v": 1, "ping": True, "hold_s": 0.2}


def test_a_function_is_warmed_once_per_process(account: Account, given: dict[str, Any]) -> None:
    for poll_freq in (5, 6):
        run(Executor(**given, prewarm=2, poll_freq=poll_freq))
    assert account.operations.count("Ping") == 2
    assert account.operations.count("Invoke") == 2


def test_a_function_that_was_recreated_is_warmed_again(
    account: Account, given: dict[str, Any]
) -> None:
    executor = Executor(**given, prewarm=2)
    run(executor)
    account.functions.clear()
    run(executor)
    assert account.operations[-3:] == ["Ping", "Ping", "Invoke"]


def test_a_ping_that_fails_fails_no_task(account: Account, given: dict[str, Any]) -> None:
    account.refuses_pings = True
    assert run(Executor(**given, prewarm=3))[0] == 5
    assert account.operations.count("Ping") == 3


class Troubled(FakeFunctions):
    """Functions that meet the first invocation with an exception or an answer of ours."""

    def __init__(self, clock: FakeClock, trouble: Exception | Reply) -> None:
        super().__init__(clock)
        self._troubles = [trouble]

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        if not self._troubles:
            return await super().invoke(name, event, timeout_s=timeout_s)
        trouble = self._troubles.pop()
        if isinstance(trouble, Exception):
            raise trouble
        return trouble


@pytest.fixture
def warned() -> Iterator[list[str]]:
    """The warnings of prewarming."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger(prewarm.__module__).addHandler(handler)
    yield messages
    logging.getLogger(prewarm.__module__).removeHandler(handler)


def test_pings_start_environments_and_find_them_again(clock: FakeClock, warned: list[str]) -> None:
    with FakeFunctions(clock) as functions:
        functions.states["name"] = FunctionState(state=ACTIVE)
        assert asyncio.run(prewarm(functions, "name", 3, timeout_s=60)) == 3
        assert functions.environments == 3
        assert asyncio.run(prewarm(functions, "name", 3, timeout_s=60)) == 0
        assert asyncio.run(prewarm(functions, "name", 0, timeout_s=60)) == 0
        assert functions.environments == 3
    assert warned == []


@pytest.mark.parametrize(
    "trouble",
    [
        NotAccepted("TooManyRequestsException: Rate Exceeded."),
        ConnectionLost("Connection was closed"),
        FunctionMissing("name"),
        InvocationError("invoke function 'name': AWS answered AccessDenied"),
        ZeroDivisionError(),
        Reply(payload={"errorMessage": "no"}, function_error="Unhandled"),
        Reply(payload={"v": 1, "result_at": "s3"}),
        Reply(payload={"v": 1, "pong": True}),
        Reply(payload={"v": 1, "cold": True}),
        Reply(payload=[]),  # type: ignore[arg-type]
    ],
)
def test_a_ping_that_fails_is_logged_and_not_counted(
    clock: FakeClock, warned: list[str], trouble: Exception | Reply
) -> None:
    with Troubled(clock, trouble) as functions:
        functions.states["name"] = FunctionState(state=ACTIVE)
        assert asyncio.run(prewarm(functions, "name", 2, timeout_s=60)) == 1
    (message,) = warned
    assert "unction name " in message
