"""Checks side by side: each has its finding, whatever the others do."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

import pytest
from click.testing import CliRunner

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.doctor.aws_account import AwsAccount
from covalent_lambda_container.doctor.covalent_server import CovalentServer
from covalent_lambda_container.doctor.examination import (
    OK,
    PROBLEM,
    UNKNOWN,
    Check,
    Finding,
    Unknown,
    examine,
)
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.executor.wiring import clients_of
from covalent_lambda_container.options.schema import Options
from tests.fakes.aws_http import FakeAwsHttp


def fails(error: BaseException) -> Callable[[], NoReturn]:
    def look() -> NoReturn:
        raise error

    return look


@pytest.mark.parametrize(
    ("look", "finding"),
    [
        (lambda: "is well", Finding("it", OK, "is well")),
        (
            fails(ConfigurationError("is not there", hint="Make it.\nOr not.")),
            Finding("it", PROBLEM, "is not there", "Make it.\nOr not."),
        ),
        (fails(ConfigurationError("is not there")), Finding("it", PROBLEM, "is not there")),
        (fails(Unknown("may not be seen")), Finding("it", UNKNOWN, "may not be seen")),
        (fails(KeyError("Arn")), Finding("it", PROBLEM, "KeyError: 'Arn'")),
        (fails(TimeoutError("slow")), Finding("it", PROBLEM, "TimeoutError: slow")),
    ],
)
def test_what_a_check_says_is_found(look: Callable[[], str], finding: Finding) -> None:
    assert examine([Check("it", look)], timeout_s=5) == [finding]


def test_a_check_that_hangs_hides_no_other() -> None:
    never = threading.Event()
    checks = [
        Check("hangs", lambda: str(never.wait())),
        Check("fails", fails(RuntimeError("broken"))),
        Check("works", lambda: "is well"),
    ]
    began = time.monotonic()
    findings = examine(checks, timeout_s=0.3)
    assert time.monotonic() - began < 2
    never.set()
    assert [finding.status for finding in findings] == [PROBLEM, PROBLEM, OK]
    assert findings[0].message == "no answer within 0.3 s"
    assert findings[0].remedy


def test_checks_run_at_once() -> None:
    together = threading.Barrier(5, timeout=5)
    checks = [Check(str(n), lambda: str(together.wait() >= 0)) for n in range(5)]
    assert {finding.status for finding in examine(checks, timeout_s=5)} == {OK}


@pytest.mark.parametrize(
    ("finding", "line", "exit_code"),
    [
        (Finding("bucket", OK, "jobs"), "ok       bucket  jobs", 0),
        (Finding("bucket", UNKNOWN, "hidden"), "unknown  bucket  hidden", 0),
        (
            Finding("bucket", PROBLEM, "gone\nfor good", "Make it."),
            "problem  bucket  gone\n                 for good\n                 → Make it.",
            1,
        ),
    ],
)
def test_each_finding_is_a_line_and_a_problem_an_exit_code(
    monkeypatch: pytest.MonkeyPatch, finding: Finding, line: str, exit_code: int
) -> None:
    def diagnose(*_: Any, **__: Any) -> list[Finding]:
        return [finding]

    monkeypatch.setattr("covalent_lambda_container.doctor.diagnosis.diagnose", diagnose)
    shown = CliRunner().invoke(cli, ["doctor"])
    assert shown.stdout == f"{line}\n"
    assert shown.exit_code == exit_code
    written = CliRunner().invoke(cli, ["doctor", "--json"])
    assert written.exit_code == exit_code
    assert json.loads(written.stdout) == [vars(finding)]


def test_quotas_that_may_not_be_seen_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator lets everyone see them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    options = Options(region="us-east-1", endpoint_url="http://localhost:9")
    aws = FakeAwsHttp()
    with aws.behind(clients_of(options).functions):
        aws.error("AccessDeniedException", status=403)
        with pytest.raises(Unknown, match="lambda:GetAccountSettings"):
            AwsAccount(options).concurrency()


def test_a_repository_that_may_not_be_seen_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    options = Options(region="us-east-1", endpoint_url="http://localhost:9")
    aws = FakeAwsHttp()
    with aws.behind(clients_of(options).ecr):
        aws.error("AccessDeniedException")
        with pytest.raises(Unknown, match="ecr:DescribeRepositories"):
            AwsAccount(options).repository()
        aws.error("RepositoryNotFoundException")
        with pytest.raises(ConfigurationError, match="there is no repository"):
            AwsAccount(options).repository()


def test_what_is_installed_here_fits_together() -> None:
    assert "covalent-lambda-container" in CovalentServer(timeout_s=1).versions()
