"""List prices, and the region of a registry."""

from __future__ import annotations

import re

import pytest

from covalent_lambda_container.tasks.prices import (
    PRICES_AS_OF,
    cost_usd,
    region_of,
    usd_per_gb_second,
)


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
        region="us-east-1",
        memory_mb=memory_mb,
        architecture=architecture,
        ephemeral_storage_mb=ephemeral_storage_mb,
    )
    assert cost == pytest.approx(usd, rel=1e-6)


@pytest.mark.parametrize(
    ("uri", "region"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/covalent-lambda", "us-east-1"),
        ("123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/covalent-lambda", "us-gov-west-1"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/covalent-lambda", "cn-north-1"),
        ("123456789012.dkr.ecr-fips.us-west-2.amazonaws.com/a/b", "us-west-2"),
        ("123456789012.dkr-ecr.eu-central-1.on.aws/covalent-lambda", "eu-central-1"),
        ("vpce-0a1.ecr.eu-west-1.vpce.amazonaws.com/covalent-lambda", "eu-west-1"),
        ("localhost:4566/covalent-lambda", ""),
        ("127.0.0.1:4566/covalent-lambda", ""),
        ("registry.example.com/us-east-1.amazonaws.com", ""),
        ("us-east-1.amazonaws.com.example.com/covalent-lambda", ""),
    ],
)
def test_the_region_is_read_from_the_registrys_name(uri: str, region: str) -> None:
    assert region_of(uri) == region


def test_regions_and_processors_have_their_own_prices() -> None:
    assert usd_per_gb_second("eu-central-1", "x86_64") == usd_per_gb_second("us-east-1", "x86_64")
    assert usd_per_gb_second("ap-east-1", "x86_64") > usd_per_gb_second("us-east-1", "x86_64")
    assert usd_per_gb_second("us-east-1", "arm64") == pytest.approx(0.0000133334)


def test_prices_have_a_month() -> None:
    assert re.fullmatch(r"\d{4}-\d{2}", PRICES_AS_OF)
