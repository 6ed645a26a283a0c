"""Functions that only one identity uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.session import clients_for
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.executor import wiring
from covalent_lambda_container.executor.owner import function_owner
from tests.fakes.account_server import Account, Executor, run

ALICE = "arn:aws:iam::123456789012:user/alice"
BOB = "arn:aws:iam::123456789012:user/bob"
ROLE = "arn:aws:sts::123456789012:assumed-role/Dispatcher"


@pytest.fixture(autouse=True)
def _other_tests_ask_for_their_own_identity() -> Iterator[None]:
    yield
    wiring.clear()
    clients_for.cache_clear()


def run_as(account: Account, caller: str, given: dict[str, Any], **options: Any) -> None:
    account.caller = caller
    # Another process of a dispatcher.
    wiring.clear()
    clients_for.cache_clear()
    run(Executor(**given, **options))


@pytest.mark.parametrize(
    ("callers", "functions"),
    [
        ((ALICE, ALICE), 1),
        ((ALICE, BOB), 2),
        ((f"{ROLE}/one", f"{ROLE}/another"), 1),
        ((f"{ROLE}/one", f"{ROLE}s/one"), 2),
    ],
)
def test_each_identity_has_functions_of_its_own(
    account: Account, given: dict[str, Any], callers: tuple[str, str], functions: int
) -> None:
    for caller in callers:
        run_as(account, caller, given, isolate="function")
    assert len(account.functions) == functions


def test_functions_are_shared_by_default(account: Account, given: dict[str, Any]) -> None:
    for caller in (ALICE, BOB):
        run_as(account, caller, given)
    assert len(account.functions) == 1


def test_without_an_identity_nothing_runs(account: Account, given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"isolate='function': AWS does not report"):
        run_as(account, "", given, isolate="function")
    assert not account.functions
    run_as(account, "", given)
    assert len(account.functions) == 1


def test_an_identity_that_was_not_known_for_a_moment_is_asked_for_again(
    account: Account, given: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        run_as(account, "", given, isolate="function")
    account.caller = ALICE
    run(Executor(**given, isolate="function"))
    assert len(account.functions) == 1


def test_a_session_belongs_to_its_role() -> None:
    assert function_owner(f"{ROLE}/session@example.com") == ROLE
    assert function_owner(ALICE) == ALICE
