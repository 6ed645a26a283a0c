"""Checks side by side: each has its finding, independent of the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import NoReturn

import pytest

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
def test_a_check_results_in_a_finding(look: Callable[[], str], finding: Finding) -> None:
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
