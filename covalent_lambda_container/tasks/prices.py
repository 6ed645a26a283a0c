"""AWS's list prices of a function's memory, requests, storage and images, by region.

All prices are in US dollars, before the free tier, savings plans and taxes.
"""

from __future__ import annotations

import re
from typing import Final

PRICES_AS_OF: Final = "2026-11"

_USD_PER_GB_SECOND: Final = 0.0000166667
"""Memory of an x86_64 function while it runs, first tier of a month's usage: most regions.

"AWS Lambda Pricing" page, as of `PRICES_AS_OF`."""
DEARER_REGIONS: Final = {
    "af-south-1": 0.0000224,
    "ap-east-1": 0.0000232,
    "ap-northeast-3": 0.0000216,
    "eu-south-1": 0.0000192,
    "me-south-1": 0.0000208,
}
"""Regions with a different price per GB-second of x86_64.

To two digits, as AWS Lambda Power Tuning 4.3.4 lists them (``baseCosts``, per ms of 128 MB)."""
_ARM_SHARE: Final = 0.0000133334 / 0.0000166667
"""Price of arm64 relative to x86_64; same page."""

USD_PER_REQUEST: Final = 0.20 / 1_000_000
USD_PER_STORAGE_GB_SECOND: Final = 0.0000000309
"""/tmp of a function while it runs, above `FREE_STORAGE_MB`; us-east-1's price; same page."""
FREE_STORAGE_MB: Final = 512

USD_PER_S3_PUT: Final = 0.005 / 1000
USD_PER_S3_GET: Final = 0.0004 / 1000
"""Requests to S3 Standard; us-east-1's prices; "Amazon S3 pricing" page, `PRICES_AS_OF`."""
USD_PER_IMAGE_GB_MONTH: Final = 0.10
"""Images in a private ECR repository; "Amazon ECR pricing" page, `PRICES_AS_OF`."""

_AWS_HOST: Final = re.compile(
    r"(?:^|[.-])(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\..*?(?:amazonaws\.com(?:\.cn)?|on\.aws)$"
)


def region_of(repository_uri: str) -> str:
    """Return the AWS region of a repository, or ``""`` for a registry that is not AWS's.

    Parameters
    ----------
    repository_uri
        ``"123456789012.dkr.ecr.eu-central-1.amazonaws.com/covalent-lambda"``. A local stack has a
        different host: nothing is billed there.
    """
    host = repository_uri.partition("/")[0].partition(":")[0]
    match = _AWS_HOST.search(host)
    return match["region"] if match else ""


def usd_per_gb_second(region: str, architecture: str) -> float:
    """Return the price of a function's memory.

    Parameters
    ----------
    region
        AWS region, ``"eu-central-1"``.
    architecture
        ``"x86_64"`` or ``"arm64"``.
    """
    price = DEARER_REGIONS.get(region, _USD_PER_GB_SECOND)
    return price if architecture == "x86_64" else price * _ARM_SHARE


def cost_usd(
    billed_ms: int, *, region: str, memory_mb: int, architecture: str, ephemeral_storage_mb: int
) -> float:
    """Return the list price of one invocation; for regions whose prices are in US dollars.

    Parameters
    ----------
    billed_ms
        Milliseconds that are billed.
    region
        AWS region of the function.
    memory_mb, architecture, ephemeral_storage_mb
        The function's configuration; the architecture is ``"x86_64"`` or ``"arm64"``.
    """
    seconds = billed_ms / 1000
    storage_gb = max(0, ephemeral_storage_mb - FREE_STORAGE_MB) / 1024
    return (
        USD_PER_REQUEST
        + seconds * memory_mb / 1024 * usd_per_gb_second(region, architecture)
        + seconds * storage_gb * USD_PER_STORAGE_GB_SECOND
    )
