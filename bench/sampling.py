"""Statistics of samples. Pure functions, tested by `tests/unit/test_bench.py`."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence

from bench.figures import Measurement


def ratio(ours: Sequence[float], yardstick: Sequence[float], unit: str) -> Measurement:
    """Return the ratio of two medians, with both sides and their spread as detail."""
    value = statistics.median(ours) / statistics.median(yardstick)
    return Measurement(
        value=value, detail=f"{described(ours, unit)} ÷ {described(yardstick, unit)}"
    )


def median(samples: Sequence[float], unit: str) -> Measurement:
    """Return the median, with the spread as detail."""
    return Measurement(value=statistics.median(samples), detail=described(samples, unit))


def described(samples: Sequence[float], unit: str) -> str:
    """Return ``median unit [lower quartile…upper quartile]``; the range where there are few."""
    low, high = spread(samples)
    middle = statistics.median(samples)
    if low == high:
        return f"{_digits(middle)} {unit}"
    return f"{_digits(middle)} {unit} [{_digits(low)}…{_digits(high)}]"


def spread(samples: Sequence[float]) -> tuple[float, float]:
    """Return lower and upper quartile, or the range of fewer than eight samples."""
    if len(samples) < 8:
        return min(samples), max(samples)
    quartiles = statistics.quantiles(samples, n=4, method="inclusive")
    return quartiles[0], quartiles[2]


def better(rates: Mapping[str, Sequence[float]]) -> str:
    """Return the name whose median rate is highest."""
    return max(rates, key=lambda name: statistics.median(rates[name]))


def turns(sides: Sequence[str], rounds: int) -> Iterator[str]:
    """Yield every side once a round, each round in the opposite order of the one before.

    Drift while measuring, of the clock or the page cache, affects all sides equally.
    """
    for number in range(rounds):
        yield from sides if number % 2 == 0 else reversed(sides)


def _digits(value: float) -> str:
    """Three significant digits, never in exponents."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
