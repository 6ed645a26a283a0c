"""What measuring a workflow with several memory sizes costs at most."""

from __future__ import annotations

import math
from collections.abc import Sequence

from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.tasks.prices import cost_usd


def highest_cost_usd(
    options: Sequence[tuple[Options, int]], sizes: Sequence[int], dispatches: int, region: str
) -> float:
    """Return what all invocations cost if every attempt runs into its timeout.

    A task may be run again as often as it has retries, and for each memory size up to its
    `max_memory_size`.

    Parameters
    ----------
    options
        Of each electron, with its retries.
    sizes
        Memory sizes in MB.
    dispatches
        Number of dispatches for each size.
    region
        The functions' region.
    """
    return dispatches * sum(
        cost_usd(
            one.timeout * 1000,
            region=region,
            memory_mb=memory_mb,
            architecture=one.architecture,
            ephemeral_storage_mb=one.ephemeral_storage,
        )
        for one, retries in options
        for size in sizes
        for memory_mb in _attempts(one, size, retries)
    )


def _attempts(options: Options, memory_mb: int, retries: int) -> list[int]:
    """Return the memory of each attempt that a task can have, the most expensive ones."""
    found = [memory_mb]
    while found[-1] < options.max_memory_size:
        found.append(min(2 * found[-1], options.max_memory_size))
    return found + [found[-1]] * retries


def upper_bound(usd: float) -> str:
    """Return a bound in dollars and cents that a sum does not exceed."""
    cents = math.ceil(round(usd * 100, 9))
    return "less than $0.01" if usd < 0.01 else f"at most ${cents / 100:.2f}"
