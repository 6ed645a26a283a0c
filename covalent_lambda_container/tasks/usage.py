"""What a task used of Lambda, and about what it cost."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

PRICES_AS_OF: Final = "2026-11"
PRICES_REGION: Final = "us-east-1"
USD_PER_GB_SECOND: Final = {"x86_64": 0.0000166667, "arm64": 0.0000133334}
"""Memory of a function while it runs, by processor; the first tier of usage in a month."""
USD_PER_REQUEST: Final = 0.20 / 1_000_000
USD_PER_STORAGE_GB_SECOND: Final = 0.0000000309
"""/tmp of a function while it runs, above `FREE_STORAGE_MB`.

These four are list prices ("AWS Lambda Pricing" page, as of `PRICES_AS_OF` in `PRICES_REGION`), in
US dollars, before the free tier, savings plans and taxes. Other regions have others."""
FREE_STORAGE_MB: Final = 512

_REPORT = re.compile(r"^REPORT RequestId: .*?\bBilled Duration: (\d+) ms\b", re.MULTILINE)


def parse_report(log_tail: str) -> int | None:
    """Return the milliseconds that Lambda bills, or None when the log does not say.

    Parameters
    ----------
    log_tail
        End of an invocation's log. Lambda's REPORT line is its last; what a task prints in that
        form comes before it.
    """
    found = _REPORT.findall(log_tail)
    return int(found[-1]) if found else None


def cost_usd(
    billed_ms: int, *, memory_mb: int, architecture: str, ephemeral_storage_mb: int
) -> float:
    """Estimate what one invocation costs, at list prices.

    Parameters
    ----------
    billed_ms
        Milliseconds that are billed.
    memory_mb, architecture, ephemeral_storage_mb
        The function's; ``"x86_64"`` or ``"arm64"``.
    """
    seconds = billed_ms / 1000
    memory_gb = memory_mb / 1024
    storage_gb = max(0, ephemeral_storage_mb - FREE_STORAGE_MB) / 1024
    return (
        USD_PER_REQUEST
        + seconds * memory_gb * USD_PER_GB_SECOND[architecture]
        + seconds * storage_gb * USD_PER_STORAGE_GB_SECOND
    )


def usage_line(
    usage: Mapping[str, Any],
    *,
    memory_mb: int,
    architecture: str,
    ephemeral_storage_mb: int,
    billed_ms: int | None = None,
) -> str:
    """Say in one line what a task used.

    Parameters
    ----------
    usage
        What the handler measured: ``{"cold": bool, "duration_ms": float, "peak_memory_mb":
        float}``.
    memory_mb, architecture, ephemeral_storage_mb
        The function's.
    billed_ms
        What Lambda reported, see `parse_report`. None: the measured duration, rounded up as Lambda
        does; it lacks the start of a new environment, which Lambda bills too for functions made
        from images.
    """
    duration_ms = float(usage["duration_ms"])
    if billed_ms is None:
        billed_ms = math.ceil(duration_ms)
        billed = f"about {billed_ms} ms"
    else:
        billed = f"{billed_ms} ms"
    cost = cost_usd(
        billed_ms,
        memory_mb=memory_mb,
        architecture=architecture,
        ephemeral_storage_mb=ephemeral_storage_mb,
    )
    return (
        f"Lambda usage: {duration_ms:.1f} ms ({'cold' if usage['cold'] else 'warm'} start), "
        f"billed {billed}, peak memory {usage['peak_memory_mb']:.0f} of {memory_mb} MB, "
        f"about ${cost:.8f} ({PRICES_REGION} list prices of {PRICES_AS_OF})"
    )
