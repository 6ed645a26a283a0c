"""The usage line at the end of a task's stderr."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.errors import TaskTimedOut
from covalent_lambda_container.executor.node_progress import WaitingNode
from covalent_lambda_container.executor.wiring import service_for
from covalent_lambda_container.model.places import recorded_place
from covalent_lambda_container.tasks.usage import Usage, parse_line
from tests.fakes.account_server import (
    REPORT,
    Account,
    Executor,
    run,
    run_unopened,
)


def test_stderr_ends_with_the_usage_line(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "a warning\n"
    warning, line, nothing = run(Executor(**given))[2].split("\n")
    assert warning == "a warning"
    assert line == (
        "Lambda usage: 1234.5 ms (cold start), peak memory 100 of 512 MB, "
        "nothing billed (not on AWS)"
    )
    assert nothing == ""


def test_the_report_is_all_there_is_of_a_quiet_task(
    account: Account, given: dict[str, Any]
) -> None:
    (line,) = run(Executor(**given))[2].splitlines()
    assert line.startswith("Lambda usage: ")


def test_the_results_header_has_the_same_as_a_record(
    account: Account, given: dict[str, Any]
) -> None:
    account.log = f"START\n{REPORT}"
    result, _, stderr = run_unopened(Executor(**given))
    used = Usage.from_record(result.header["usage"])
    assert used is not None
    assert stderr == f"{used.line}\n"
    assert (used.billed_ms, used.billed_reported) == (2001, True)
    assert (used.memory_mb, used.timeout_s, used.cold) == (512, 60, True)


def test_a_record_that_the_function_wrote_is_not_believed(
    account: Account, given: dict[str, Any]
) -> None:
    account.answer["usage"] = {}
    account.answer["result"]["header"]["usage"] = {"billed_ms": 1}
    assert "usage" not in run_unopened(Executor(**given))[0].header


def test_the_report_is_a_line_of_its_own(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "no end of line"
    first, second, _ = run(Executor(**given))[2].split("\n")
    assert first == "no end of line"
    assert second.startswith("Lambda usage: ")


def test_the_report_knows_the_functions_options(account: Account, given: dict[str, Any]) -> None:
    plain = run(Executor(**given))[2]
    assert run(Executor(**given, memory_size=1024))[2] != plain
    options: dict[str, Any] = {"memory_size": 1024, "architecture": "arm64"}
    for name, value in options.items():
        record = run_unopened(Executor(**given, **{name: value}))[0].header["usage"]
        assert value in record.values()


def test_a_task_that_raised_has_its_report_after_the_traceback(
    account: Account, given: dict[str, Any]
) -> None:
    error = {"type": "ValueError", "message": "no", "traceback": "Traceback…\nValueError: no\n"}
    account.answer |= {"status": "failed", "result": None, "error": error}
    lines = run(Executor(**given))[2].splitlines()
    assert lines[:2] == ["Traceback…", "ValueError: no"]
    assert lines[2].startswith("Ran on function covalent-")
    assert lines[3].startswith("Lambda usage: ")
    assert len(lines) == 4


def test_the_report_can_be_switched_off(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "a warning\n"
    assert run(Executor(**given, usage_report=False))[2] == "a warning\n"


def test_nothing_is_reported_of_an_answer_without_usage(
    account: Account, given: dict[str, Any]
) -> None:
    account.answer["usage"] = {}
    assert run(Executor(**given))[2] == ""


@pytest.mark.parametrize("usage_report", [True, False])
def test_a_task_that_raised_has_its_function_and_image_in_its_stderr(
    account: Account, given: dict[str, Any], usage_report: bool
) -> None:
    account.answer |= {
        "status": "failed",
        "result": None,
        "error": {"type": "KeyError", "message": "1", "traceback": "Traceback\nKeyError: 1\n"},
    }
    _, _, stderr = run(Executor(**given, usage_report=usage_report))
    place = recorded_place(stderr, "")
    assert place is not None
    assert place.image
    assert place.function in account.functions


def test_the_record_has_the_function_and_the_tag_of_its_image(
    account: Account, given: dict[str, Any]
) -> None:
    used = Usage.from_record(run_unopened(Executor(**given))[0].header["usage"])
    assert used is not None
    assert used.function in account.functions
    assert len(used.image_tag) == 32


@pytest.mark.parametrize("printed", ["", "before the end"])
def test_a_task_whose_time_was_up_has_its_report_below_what_it_printed(
    account: Account, given: dict[str, Any], printed: str
) -> None:
    error = {"type": "Sandbox.Timedout", "message": "Task timed out", "traceback": ""}
    account.answer |= {"status": "crashed", "result": None, "error": error, "stderr": printed}
    service = service_for(Executor(**given).options())
    function = partial(wrapper_fn, TransportableObject(abs), [], [])
    sent = read_task(function, [TransportableObject(-5)], {})
    node = WaitingNode()
    with pytest.raises(TaskTimedOut):
        asyncio.run(service.run(sent, "dispatch", 0, cancellation=Cancellation(), waiting=node))
    *above, line, nothing = node.activity.shown.stderr.split("\n")
    assert (above, nothing) == ([printed] if printed else [], "")
    used = parse_line(f"{line}\n", architecture="x86_64", ephemeral_storage_mb=512, timeout_s=60)
    assert used is not None
    assert (used.duration_ms, used.memory_mb) == (1234.5, 512)
