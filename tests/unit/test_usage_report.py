"""The line on what a task used, at the end of its stderr."""

from __future__ import annotations

import io
from typing import Any

from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes.account_server import (
    REPORT,
    USAGE,
    Account,
    Executor,
    run,
)


def test_stderr_ends_with_what_the_task_used(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "a warning\n"
    warning, line, nothing = run(Executor(**given))[2].split("\n")
    assert warning == "a warning"
    assert line.startswith("Lambda usage: 1234.5 ms (cold start), billed about 1235 ms")
    assert "100 of 512 MB" in line
    assert nothing == ""


def test_the_report_is_all_there_is_of_a_quiet_task(
    account: Account, given: dict[str, Any]
) -> None:
    (line,) = run(Executor(**given))[2].splitlines()
    assert line.startswith("Lambda usage: ")


def test_what_lambda_bills_goes_before_what_was_measured() -> None:
    executor = Executor()
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    executor._write_streams(Outcome(completed=True, usage=USAGE, log_tail=REPORT))
    assert "billed 2001 ms," in executor.task_stderr.getvalue()


def test_what_lambda_bills_is_read_from_the_invocations_log(
    account: Account, given: dict[str, Any]
) -> None:
    account.log = f"START\n{REPORT}"
    assert "billed 2001 ms," in run(Executor(**given))[2]


def test_the_report_is_a_line_of_its_own(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "no end of line"
    first, second, _ = run(Executor(**given))[2].split("\n")
    assert first == "no end of line"
    assert second.startswith("Lambda usage: ")


def test_the_report_knows_the_functions_options(account: Account, given: dict[str, Any]) -> None:
    plain = run(Executor(**given))[2]
    for other in ({"memory_size": 1024}, {"architecture": "arm64"}, {"ephemeral_storage": 10240}):
        assert run(Executor(**given, **other))[2] != plain


def test_a_task_that_raised_has_its_report_after_the_traceback(
    account: Account, given: dict[str, Any]
) -> None:
    error = {"type": "ValueError", "message": "no", "traceback": "Traceback…\nValueError: no\n"}
    account.answer |= {"status": "failed", "result": None, "error": error}
    lines = run(Executor(**given))[2].splitlines()
    assert lines[:2] == ["Traceback…", "ValueError: no"]
    assert lines[2].startswith("Lambda usage: ")
    assert len(lines) == 3


def test_the_report_can_be_switched_off(account: Account, given: dict[str, Any]) -> None:
    account.answer["stderr"] = "a warning\n"
    assert run(Executor(**given, usage_report=False))[2] == "a warning\n"


def test_nothing_is_reported_of_an_answer_without_usage(
    account: Account, given: dict[str, Any]
) -> None:
    account.answer["usage"] = {}
    assert run(Executor(**given))[2] == ""
