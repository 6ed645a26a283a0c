"""Concurrency that is reserved for a function before its first task."""

from __future__ import annotations

from typing import Any

from covalent_lambda_container.executor import wiring
from tests.fakes.account_server import (
    Account,
    Executor,
    run,
)


def test_concurrency_is_reserved_after_the_function_was_made(
    account: Account, given: dict[str, Any]
) -> None:
    run(Executor(**given, reserved_concurrency=7))
    (name,) = account.functions
    (put,) = [request for request in account.requests if request[0] == "PutFunctionConcurrency"]
    assert put[1:] == (
        f"/2017-10-31/functions/{name}/concurrency",
        {"ReservedConcurrentExecutions": 7},
    )
    operations = account.operations
    assert operations[1] == "CreateFunction"
    assert operations[-2:] == ["PutFunctionConcurrency", "Invoke"]


def test_concurrency_is_reserved_once_per_process(account: Account, given: dict[str, Any]) -> None:
    for _ in range(2):
        run(Executor(**given, reserved_concurrency=7))
    assert account.operations.count("PutFunctionConcurrency") == 1
    assert account.operations.count("CreateFunction") == 1


def test_a_reservation_that_another_process_left_out_is_made_up_for(
    account: Account, given: dict[str, Any]
) -> None:
    run(Executor(**given, reserved_concurrency=7))
    account.reserved.clear()
    wiring.clear()
    run(Executor(**given, reserved_concurrency=7))
    assert account.operations.count("CreateFunction") == 1
    assert set(account.reserved.values()) == {7}


def test_a_function_that_was_deleted_gets_its_reservation_again(
    account: Account, given: dict[str, Any]
) -> None:
    executor = Executor(**given, reserved_concurrency=7)
    run(executor)
    account.functions.clear()
    account.reserved.clear()
    run(executor)
    assert len(account.functions) == len(account.reserved) == 1
