"""Time and cost of electrons at several memory sizes, and the best size."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.report import pictures
from covalent_lambda_container.report.dispatch_report import dollars, seconds
from covalent_lambda_container.report.electrons import Electron
from covalent_lambda_container.report.page import Page
from covalent_lambda_container.tasks.prices import PRICES_AS_OF, cost_usd

COLUMNS: Final = ("electron", "memory", "warm runs", "duration", "peak memory", "cost", "")


@dataclass(frozen=True, kw_only=True)
class Size:
    """An electron's time and cost with one memory size.

    Parameters
    ----------
    memory_mb
        The size.
    runs
        Number of warm runs that were measured.
    duration_s
        Their median duration.
    peak_memory_mb
        Highest peak of all runs.
    cost_usd
        Median list price of a run; None if nothing is billed.
    """

    memory_mb: int
    runs: int
    duration_s: float
    peak_memory_mb: float
    cost_usd: float | None

    @property
    def price(self) -> float:
        """The measure for comparing sizes: the cost, or a value proportional to it."""
        if self.cost_usd is not None:
            return self.cost_usd
        return self.memory_mb * self.duration_s


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """One electron at all sizes.

    Parameters
    ----------
    electron
        Its name.
    sizes
        Its sizes, smallest first, without those that have no warm run.
    """

    electron: str
    sizes: tuple[Size, ...]

    @property
    def cheapest(self) -> Size:
        """The size with the lowest cost; the largest of equals, which is faster."""
        return min(self.sizes, key=lambda size: (round(size.price, 12), -size.memory_mb))

    @property
    def fastest(self) -> Size:
        """The size with the shortest duration."""
        return min(self.sizes, key=lambda size: (size.duration_s, size.memory_mb))

    @property
    def knee(self) -> Size:
        """The size with the least product of time and cost.

        As long as time falls as memory grows, the cost stays the same and the product falls; once
        more memory no longer increases speed, the product grows.
        """
        return min(self.sizes, key=lambda size: (size.duration_s * size.price, size.memory_mb))

    def marks(self, size: Size) -> str:
        """Return the labels of a size: cheapest, fastest, knee."""
        named = {"cheapest": self.cheapest, "fastest": self.fastest, "knee": self.knee}
        return ", ".join(name for name, chosen in named.items() if chosen == size)


def tuned(runs: Iterable[tuple[int, Sequence[Electron]]]) -> list[Tuned]:
    """Return every electron of several dispatches at all sizes, without cold runs.

    Parameters
    ----------
    runs
        The memory size of each dispatch, and its electrons.
    """
    found: dict[str, dict[int, list[Electron]]] = defaultdict(lambda: defaultdict(list))
    for memory_mb, electrons in runs:
        for one in electrons:
            # Nodes that Covalent adds are not the user's to tune, nor are sublattices' electrons.
            if one.used and one.used.memory_mb == memory_mb and not one.name.startswith(":"):
                found[one.name][memory_mb].append(one)
    results = [
        Tuned(
            electron=name,
            sizes=tuple(
                size
                for size in (_size(memory_mb, ran) for memory_mb, ran in sorted(by_size.items()))
                if size.runs
            ),
        )
        for name, by_size in found.items()
    ]
    return [one for one in results if one.sizes]


def _size(memory_mb: int, electrons: Sequence[Electron]) -> Size:
    used = [one.used for one in electrons if one.used]
    warm = [usage for usage in used if not usage.cold]
    costs = [usage.cost_usd for usage in warm if usage.cost_usd is not None]
    return Size(
        memory_mb=memory_mb,
        runs=len(warm),
        duration_s=statistics.median(usage.duration_ms for usage in warm) / 1000 if warm else 0.0,
        peak_memory_mb=max(usage.peak_memory_mb for usage in used),
        cost_usd=statistics.median(costs) if len(costs) == len(warm) and costs else None,
    )


def highest_cost_usd(
    options: Sequence[Options], sizes: Sequence[int], dispatches: int, region: str
) -> float:
    """Return the cost of all invocations if every task times out.

    Parameters
    ----------
    options
        Options of each electron.
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
            memory_mb=size,
            architecture=one.architecture,
            ephemeral_storage_mb=one.ephemeral_storage,
        )
        for one in options
        for size in sizes
    )


def rows_of(results: Sequence[Tuned]) -> list[list[str]]:
    """Return one row of cells for each electron and size, in the order of `COLUMNS`."""
    return [
        [
            one.electron,
            f"{size.memory_mb} MB",
            str(size.runs),
            seconds(size.duration_s),
            f"{size.peak_memory_mb:.0f} MB",
            "not billed" if size.cost_usd is None else dollars(size.cost_usd),
            one.marks(size),
        ]
        for one in results
        for size in one.sizes
    ]


def document_of(results: Sequence[Tuned]) -> dict[str, Any]:
    """Return all figures as JSON."""
    return {
        "prices_as_of": PRICES_AS_OF,
        "electrons": [
            {
                "name": one.electron,
                "sizes": [vars(size) for size in one.sizes],
                "cheapest_mb": one.cheapest.memory_mb,
                "fastest_mb": one.fastest.memory_mb,
                "knee_mb": one.knee.memory_mb,
            }
            for one in results
        ],
    }


def page_of(title: str, results: Sequence[Tuned]) -> Page:
    """Return the results as a page with a plot for each electron."""
    return Page(
        title=title,
        subtitle="Median duration and list price of warm runs; the dashed line is the knee: "
        "the least product of time and cost.",
        cards=[(f"{one.knee.memory_mb} MB", f"knee of {one.electron}") for one in results],
        pictures=[
            (
                one.electron,
                pictures.time_and_cost(
                    [(size.memory_mb, size.duration_s, size.cost_usd) for size in one.sizes],
                    one.knee.memory_mb,
                ),
            )
            for one in results
        ],
        table_heading="All sizes",
        columns=COLUMNS,
        rows=rows_of(results),
    )
