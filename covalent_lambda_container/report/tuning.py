"""Time and cost of electrons at several memory sizes, and the best size."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from covalent_lambda_container.report import pictures
from covalent_lambda_container.report.dispatch_report import dollars, seconds
from covalent_lambda_container.report.electrons import Electron
from covalent_lambda_container.report.failed_sizes import FailedSize, Run
from covalent_lambda_container.report.page import Page
from covalent_lambda_container.tasks.prices import PRICES_AS_OF

COLUMNS: Final = ("electron", "memory", "warm runs", "duration", "peak memory", "cost", "")

_LEAST_DIFFERENCE_S: Final = 0.01
"""Shorter differences come from the measurement."""
_SPREADS: Final = 3
"""Differences of fewer spreads come about by chance."""


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
        Their median.
    spread_s
        Median distance of a run's duration from it: how much runs of one size differ.
    peak_memory_mb
        Highest peak of all runs.
    cost_usd
        Median list price of a run; None if nothing is billed.
    """

    memory_mb: int
    runs: int
    duration_s: float
    spread_s: float
    peak_memory_mb: float
    cost_usd: float | None


@dataclass(frozen=True, kw_only=True)
class Tuned:
    """One electron at all sizes.

    Parameters
    ----------
    electron
        Its name.
    sizes
        Its sizes, smallest first, without those that have no warm run or with which it failed.
    """

    electron: str
    sizes: tuple[Size, ...]

    def price(self, size: Size) -> float:
        """Return what to compare sizes by: the cost, or what it is proportional to.

        All sizes are compared by the same, which some have no cost for.
        """
        if size.cost_usd is None or any(one.cost_usd is None for one in self.sizes):
            return size.memory_mb * size.duration_s
        return size.cost_usd

    @property
    def within_noise(self) -> bool:
        """Whether sizes do not differ more in time than runs of one size do.

        A single run of each size does not say how much its runs differ.
        """
        times = [size.duration_s for size in self.sizes]
        noise = max(_LEAST_DIFFERENCE_S, *(_SPREADS * size.spread_s for size in self.sizes))
        return max(times) - min(times) <= noise

    @property
    def cheapest(self) -> Size:
        """The size that costs least; the larger one of equals, which is faster."""
        return min(self.sizes, key=lambda size: (round(self.price(size), 12), -size.memory_mb))

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
        return min(
            self.sizes, key=lambda size: (size.duration_s * self.price(size), size.memory_mb)
        )

    def marks(self, size: Size) -> str:
        """Return what a size is; where no size is faster than another, only which is cheapest."""
        named = {"cheapest": self.cheapest, "fastest": self.fastest, "knee": self.knee}
        if self.within_noise:
            named = {"cheapest": self.cheapest}
        return ", ".join(name for name, chosen in named.items() if chosen == size)


def tuned(runs: Sequence[Run]) -> list[Tuned]:
    """Return every electron of several dispatches at all sizes, without cold runs."""
    failed = {
        (one.name, memory_mb)
        for memory_mb, electrons in runs
        for one in electrons
        if one.state == "FAILED"
    }
    found: dict[str, dict[int, list[Electron]]] = defaultdict(lambda: defaultdict(list))
    for memory_mb, electrons in runs:
        for one in electrons:
            # Nodes that Covalent adds are not the user's to tune, nor are sublattices' electrons.
            own = one.name.startswith(":") or (one.name, memory_mb) in failed
            if one.used and one.used.memory_mb == memory_mb and not own:
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
    times = [usage.duration_ms / 1000 for usage in warm]
    median = statistics.median(times) if times else 0.0
    return Size(
        memory_mb=memory_mb,
        runs=len(warm),
        duration_s=median,
        spread_s=statistics.median(abs(time - median) for time in times) if times else 0.0,
        peak_memory_mb=max(usage.peak_memory_mb for usage in used),
        cost_usd=statistics.median(costs) if len(costs) == len(warm) and costs else None,
    )


def remarks(runs: Sequence[Run], results: Sequence[Tuned]) -> Iterator[str]:
    """Yield sentences on what the figures, which `tuned` returned, do not show."""
    used = [(size, one.name, one.used) for size, electrons in runs for one in electrons if one.used]
    if any(not usage.region for _, _, usage in used):
        yield (
            "These tasks did not run on AWS. A local stack limits neither memory nor processor: "
            "the times say nothing about memory sizes."
        )
    larger = {
        (name, size): usage.memory_mb for size, name, usage in used if usage.raised_from_mb == size
    }
    for (name, size), memory_mb in larger.items():
        yield f"{name} ran out of {size} MB and got {memory_mb} MB: {size} MB is left out for it."
    for one in results:
        if one.within_noise and len(one.sizes) > 1:
            yield (
                f"{one.electron}: the sizes do not differ more in time than its runs do, so that "
                "none is the fastest. A larger --runs shows smaller differences."
            )


def rows_of(results: Sequence[Tuned], failed: Sequence[FailedSize] = ()) -> list[list[str]]:
    """Return one row of cells for each electron and size, in the order of `COLUMNS`."""
    return [
        row
        for name in _names(results, failed)
        for _, row in sorted([*_measured_rows(name, results), *_failed_rows(name, failed)])
    ]


def _names(results: Sequence[Tuned], failed: Sequence[FailedSize]) -> list[str]:
    """Return the names of all electrons, each once."""
    names = [one.electron for one in results] + [one.electron for one in failed]
    return list(dict.fromkeys(names))


def _measured_rows(name: str, results: Sequence[Tuned]) -> Iterator[tuple[int, list[str]]]:
    for one in results:
        for size in one.sizes if one.electron == name else ():
            cells = [
                one.electron,
                f"{size.memory_mb} MB",
                str(size.runs),
                seconds(size.duration_s),
                f"{size.peak_memory_mb:.0f} MB",
                "–" if size.cost_usd is None else dollars(size.cost_usd),
                one.marks(size),
            ]
            yield size.memory_mb, cells


def _failed_rows(name: str, failed: Sequence[FailedSize]) -> Iterator[tuple[int, list[str]]]:
    for one in failed:
        if one.electron == name:
            unknown = ["–"] * 4
            yield (
                one.memory_mb,
                [name, f"{one.memory_mb} MB", *unknown, f"failed: {one.reason}"],
            )


def document_of(results: Sequence[Tuned], failed: Sequence[FailedSize] = ()) -> dict[str, Any]:
    """Return all figures as JSON."""
    measured = {one.electron: one for one in results}
    return {
        "prices_as_of": PRICES_AS_OF,
        "electrons": [
            _document(name, measured.get(name))
            | {"failed": [one.document for one in failed if one.electron == name]}
            for name in _names(results, failed)
        ],
    }


def _document(name: str, one: Tuned | None) -> dict[str, Any]:
    return {
        "name": name,
        "sizes": [vars(size) for size in one.sizes] if one else [],
        "cheapest_mb": one.cheapest.memory_mb if one else None,
        "fastest_mb": one.fastest.memory_mb if one else None,
        "knee_mb": one.knee.memory_mb if one else None,
        "within_noise": one.within_noise if one else None,
    }


def page_of(title: str, results: Sequence[Tuned], failed: Sequence[FailedSize] = ()) -> Page:
    """Return the results as a page with a plot for each electron."""
    return Page(
        title=title,
        subtitle="Median duration and list price of warm runs; the dashed line is the knee: "
        "the least product of time and cost.",
        cards=[
            (f"{one.cheapest.memory_mb} MB", f"{one.electron}: no size is faster")
            if one.within_noise
            else (f"{one.knee.memory_mb} MB", f"knee of {one.electron}")
            for one in results
        ],
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
        rows=rows_of(results, failed),
    )
