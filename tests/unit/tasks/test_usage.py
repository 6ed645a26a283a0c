"""A task's usage: Lambda's report, its cost, and the usage line."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.model.specs import FunctionSpec, ImageReference
from covalent_lambda_container.tasks.usage import Usage, parse_line, parse_report

HANDLER = {"cold": False, "duration_ms": 1234.0001, "peak_memory_mb": 100.6}
FUNCTION = FunctionSpec(
    image=ImageReference(
        repository_uri="123456789012.dkr.ecr.us-east-1.amazonaws.com/covalent-lambda",
        digest="sha256:" + "0" * 64,
    ),
    architecture="x86_64",
    role_arn="arn:aws:iam::123456789012:role/R",
    memory_mb=512,
    timeout_s=60,
    ephemeral_storage_mb=512,
    environment=(),
    tags=(),
)
LOCAL = ImageReference(repository_uri="localhost:4566/covalent-lambda", digest="sha256:0")
# As Lambda writes it; see "View logs for Lambda functions", developer guide.
REPORT = (
    "REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 1234.09 ms\t"
    "Billed Duration: {billed} ms\tMemory Size: 512 MB\tMax Memory Used: 101 MB\t"
    "Init Duration: 766.01 ms\t\n"
)


@pytest.mark.parametrize(
    ("log_tail", "billed_ms"),
    [
        ("", None),
        ("START RequestId: 1 Version: $LATEST\nEND RequestId: 1\n", None),
        (REPORT.format(billed=2001), 2001),
        ("START\nprinted\nEND\n" + REPORT.format(billed=2001), 2001),
        # A task's own text.
        (REPORT.format(billed="9" * 5000), None),
        (REPORT.format(billed=2001).rstrip(), 2001),
        (REPORT.format(billed=2001) + "XRAY TraceId: 1-5\tSegmentId: 2\tSampled: true\n", 2001),
        # What the task printed itself is not Lambda's word.
        (REPORT.format(billed=1) + REPORT.format(billed=2001), 2001),
        ("I saw " + REPORT.format(billed=1), None),
        ("REPORT RequestId: 1\nBilled Duration: 7 ms\n", None),
        ("REPORT RequestId: 1\tBilled Duration: many ms\n", None),
        # The tail may begin in the middle of a line.
        (REPORT.format(billed=2001)[100:], None),
    ],
)
def test_the_billed_duration_is_read_from_lambdas_own_line(
    log_tail: str, billed_ms: int | None
) -> None:
    assert parse_report(log_tail) == billed_ms


def used(log_tail: str = "", *, handler: dict[str, Any] | None = None, **changes: Any) -> Usage:
    return Usage.measured(HANDLER | (handler or {}), replace(FUNCTION, **changes), log_tail)


def test_the_line_has_the_measurements_and_the_cost() -> None:
    assert used().line == (
        "Lambda usage: 1234.0 ms (warm start), billed about 1235 ms, peak memory 101 of 512 MB, "
        "about $0.00001049 (us-east-1 list prices of 2026-11)"
    )


def test_lambdas_report_takes_precedence_over_the_estimate() -> None:
    line = used(REPORT.format(billed=2001)).line
    assert "billed 2001 ms, " in line
    assert "about $0.00001688 " in line


def test_the_line_shows_a_cold_start() -> None:
    assert "(cold start)" in used(handler={"cold": True}).line


@pytest.mark.parametrize(
    "changes", [{"memory_mb": 1024}, {"architecture": "arm64"}, {"ephemeral_storage_mb": 10240}]
)
def test_the_cost_is_that_of_the_function(changes: dict[str, Any]) -> None:
    assert used(**changes).cost_usd != used().cost_usd


@pytest.mark.parametrize(
    ("duration_ms", "billed_ms"),
    [(0.0, 0), (0.001, 1), (1.0, 1), (1.0001, 2), (900_000.0, 900_000)],
)
def test_a_started_millisecond_is_billed(duration_ms: float, billed_ms: int) -> None:
    assert used(handler={"duration_ms": duration_ms}).billed_ms == billed_ms


def test_nothing_is_billed_outside_aws() -> None:
    local = used(REPORT.format(billed=2001), image=LOCAL)
    assert local.cost_usd is None
    assert "$" not in local.line
    assert local.line.endswith("nothing billed (not on AWS)")


def test_prices_in_another_currency_are_not_known() -> None:
    china = ImageReference(
        repository_uri="1.dkr.ecr.cn-north-1.amazonaws.com.cn/x", digest="sha256:0"
    )
    assert used(image=china).cost_usd is None
    assert used(image=china).line.endswith("cost unknown (cn-north-1)")


@pytest.mark.parametrize("log_tail", ["", REPORT.format(billed=2001)])
@pytest.mark.parametrize("image", [FUNCTION.image, LOCAL])
def test_the_line_can_be_read_again(log_tail: str, image: ImageReference) -> None:
    usage = used(log_tail, image=image, handler={"peak_memory_mb": 101.0, "duration_ms": 1234.0})
    stderr = f"a warning\n{usage.line}\n"
    read = parse_line(stderr, architecture="x86_64", ephemeral_storage_mb=512, timeout_s=60)
    assert read is not None
    assert read.line == usage.line
    assert read.cost_usd == usage.cost_usd


def test_the_last_line_counts() -> None:
    forged = replace(used(), billed_ms=1).line
    read = parse_line(
        f"{forged}\n{used().line}\n", architecture="x86_64", ephemeral_storage_mb=512, timeout_s=60
    )
    assert read is not None
    assert read.billed_ms == 1235


def test_a_record_can_be_read_again() -> None:
    assert Usage.from_record(used().record) == used()


@pytest.mark.parametrize(
    "change",
    [
        {"billed_ms": "1"},
        {"billed_ms": -1},
        {"billed_ms": True},
        {"duration_ms": float("nan")},
        {"duration_ms": float("inf")},
        {"cold": 1},
        {"region": ["us-east-1"]},
        {"region": "x" * 1000},
        {"memory_mb": None},
    ],
)
def test_a_record_that_does_not_fit_is_none(change: dict[str, Any]) -> None:
    assert Usage.from_record(used().record | change) is None


@given(st.one_of(st.none(), st.text(), st.dictionaries(st.text(), st.integers())))
def test_anything_else_is_no_record(value: Any) -> None:
    assert Usage.from_record(value) is None
