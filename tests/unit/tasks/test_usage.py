"""What a task used: what Lambda reports, what it costs, and the line that says so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from covalent_lambda_container.tasks.usage import (
    PRICES_AS_OF,
    PRICES_REGION,
    USD_PER_GB_SECOND,
    cost_usd,
    parse_report,
    usage_line,
)

USAGE = {"cold": False, "duration_ms": 1234.0001, "peak_memory_mb": 100.6}
# As Lambda writes it; see "View logs for Lambda functions", developer guide.
REPORT = (
    "REPORT RequestId: 8f507cfc-xmpl-4697-b07a-ac58fc914c95\tDuration: 1234.09 ms\t"
    "Billed Duration: {billed} ms\tMemory Size: 512 MB\tMax Memory Used: 101 MB\t"
    "Init Duration: 766.01 ms\t\n"
)


def line(**changes: Any) -> str:
    function: dict[str, Any] = {
        "memory_mb": 512,
        "architecture": "x86_64",
        "ephemeral_storage_mb": 512,
    }
    return usage_line(USAGE, **function | changes)


@pytest.mark.parametrize(
    ("log_tail", "billed_ms"),
    [
        ("", None),
        ("START RequestId: 1 Version: $LATEST\nEND RequestId: 1\n", None),
        (REPORT.format(billed=2001), 2001),
        ("START\nprinted\nEND\n" + REPORT.format(billed=2001), 2001),
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


@pytest.mark.parametrize(
    ("billed_ms", "memory_mb", "architecture", "ephemeral_storage_mb", "usd"),
    [
        (1000, 1024, "x86_64", 512, 0.0000166667 + 0.0000002),
        (1000, 1024, "arm64", 512, 0.0000133334 + 0.0000002),
        (1000, 1024, "x86_64", 1536, 0.0000166667 + 0.0000000309 + 0.0000002),
        (1000, 512, "x86_64", 512, 0.0000166667 / 2 + 0.0000002),
        (0, 10240, "x86_64", 10240, 0.0000002),
        (363_796, 10240, "x86_64", 10240, 0.060632788 + 0.000106792 + 0.0000002),
    ],
)
def test_memory_storage_and_the_request_are_paid_for(
    billed_ms: int, memory_mb: int, architecture: str, ephemeral_storage_mb: int, usd: float
) -> None:
    cost = cost_usd(
        billed_ms,
        memory_mb=memory_mb,
        architecture=architecture,
        ephemeral_storage_mb=ephemeral_storage_mb,
    )
    assert cost == pytest.approx(usd, rel=1e-6)


def test_both_processors_have_a_price() -> None:
    assert set(USD_PER_GB_SECOND) == {"x86_64", "arm64"}


def test_the_line_says_what_was_measured_and_what_it_costs() -> None:
    assert line() == (
        "Lambda usage: 1234.0 ms (warm start), billed about 1235 ms, peak memory 101 of 512 MB, "
        "about $0.00001049 (us-east-1 list prices of 2026-11)"
    )


def test_what_lambda_reports_goes_before_the_estimate() -> None:
    assert "billed 2001 ms, " in line(billed_ms=2001)
    assert "about $0.00001688 " in line(billed_ms=2001)


def test_the_line_tells_a_cold_start() -> None:
    told = usage_line(
        USAGE | {"cold": True}, memory_mb=512, architecture="x86_64", ephemeral_storage_mb=512
    )
    assert "(cold start)" in told


@pytest.mark.parametrize(
    "changes", [{"memory_mb": 1024}, {"architecture": "arm64"}, {"ephemeral_storage_mb": 10240}]
)
def test_the_cost_is_that_of_the_function(changes: dict[str, Any]) -> None:
    assert line(**changes).partition("about $")[2] != line().partition("about $")[2]


@pytest.mark.parametrize(
    ("duration_ms", "billed_ms"),
    [(0.0, 0), (0.001, 1), (1.0, 1), (1.0001, 2), (900_000.0, 900_000)],
)
def test_a_started_millisecond_is_billed(duration_ms: float, billed_ms: int) -> None:
    told = usage_line(
        USAGE | {"duration_ms": duration_ms},
        memory_mb=128,
        architecture="arm64",
        ephemeral_storage_mb=512,
    )
    assert f"billed about {billed_ms} ms" in told


def test_it_is_one_line_with_date_and_region_of_its_prices() -> None:
    assert len(line().splitlines()) == 1
    assert f"{PRICES_REGION} list prices of {PRICES_AS_OF}" in line()
    assert re.fullmatch(r"\d{4}-\d{2}", PRICES_AS_OF)
