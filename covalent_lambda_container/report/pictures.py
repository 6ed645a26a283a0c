"""Pictures as SVG text, drawn by Matplotlib, each once for wide and once for narrow pages.

Scaled to the width of a phone, text for wide pages could not be read.
"""

from __future__ import annotations

import functools
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Concatenate, Final, ParamSpec

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.report.electrons import Electron

_INK: Final = "#010203"
"""Placeholder for the colour of the page's text, so that pictures fit light and dark pages."""
WAIT, RUN, FAILED, PAID = "#9aa5b1", "#2563eb", "#dc2626", "#cbd5e1"
_ROW_INCHES: Final = 0.26
MOST_ROWS: Final = 120


@dataclass(frozen=True)
class _Width:
    inches: float
    name_characters: int


_WIDE: Final = _Width(9.0, name_characters=28)
_NARROW: Final = _Width(4.2, name_characters=16)


@dataclass(frozen=True)
class Picture:
    """An SVG element for wide pages and one for narrow pages; empty if there is nothing to show."""

    wide: str
    narrow: str


P = ParamSpec("P")


def _drawn(draw: Callable[Concatenate[_Width, P], str]) -> Callable[P, Picture]:
    @functools.wraps(draw)
    def both(*args: P.args, **kwargs: P.kwargs) -> Picture:
        return Picture(*(draw(width, *args, **kwargs) for width in (_WIDE, _NARROW)))

    return both


@_drawn
def timeline(width: _Width, electrons: Sequence[Electron]) -> str:
    """Draw when each electron waited and when it ran."""
    shown = [one for one in electrons if one.started][:MOST_ROWS]
    if not shown:
        return ""
    origin = min(one.started for one in shown if one.started)
    with _figure(width, len(shown)) as (figure, axes):
        for row, one in enumerate(shown):
            if one.started is None:
                continue
            start = (one.started - origin).total_seconds()
            elapsed = one.elapsed_s or 0.0
            run = min(elapsed, one.used.duration_ms / 1000) if one.used else 0.0
            colour = FAILED if one.state == "FAILED" else RUN
            if not one.used:
                axes.barh(row, elapsed, left=start, color=colour if one.ended else WAIT)
                continue
            axes.barh(row, elapsed - run, left=start, color=WAIT, height=0.7)
            axes.barh(row, run, left=start + elapsed - run, color=colour, height=0.7)
        _name_rows(width, axes, shown)
        axes.set_xlabel("seconds since the first electron started")
        _legend(axes, {"waiting": WAIT, "running": RUN, "failed": FAILED})
        return _svg(figure)


@_drawn
def memory(width: _Width, electrons: Sequence[Electron]) -> str:
    """Draw the memory that each electron used, and the memory paid for."""
    shown = [one for one in electrons if one.used][:MOST_ROWS]
    if not shown:
        return ""
    with _figure(width, len(shown)) as (figure, axes):
        for row, one in enumerate(shown):
            if one.used:
                axes.barh(row, one.used.memory_mb, color=PAID, height=0.7)
                axes.barh(row, one.used.peak_memory_mb, color=RUN, height=0.7)
        _name_rows(width, axes, shown)
        axes.set_xlabel("MB")
        _legend(axes, {"used": RUN, "paid for": PAID})
        return _svg(figure)


@_drawn
def cost(width: _Width, electrons: Sequence[Electron]) -> str:
    """Draw the cost of electrons, grouped by name; nothing if nothing was billed."""
    sums: dict[str, float] = defaultdict(float)
    for one in electrons:
        if one.used and one.used.cost_usd is not None:
            sums[one.name] += one.used.cost_usd
    rows = sorted(sums.items(), key=lambda item: -item[1])[:MOST_ROWS]
    if not rows:
        return ""
    with _figure(width, len(rows)) as (figure, axes):
        for row, (_, usd) in enumerate(rows):
            axes.barh(row, usd * 100, color=RUN, height=0.7)
        axes.set_yticks(
            range(len(rows)), [_short(width, name) for name, _ in rows], parse_math=False
        )
        axes.set_xlabel("US cents for Lambda, list price")
        return _svg(figure)


@_drawn
def time_and_cost(
    width: _Width, points: Sequence[tuple[int, float, float | None]], knee_mb: int
) -> str:
    """Draw the duration and cost of a task at several memory sizes.

    Parameters
    ----------
    points
        Memory in MB, seconds, and US dollars, or None if nothing is billed.
    knee_mb
        The size to mark.
    """
    with _figure(width, 10) as (figure, axes):
        sizes = [size for size, _, _ in points]
        axes.invert_yaxis()
        axes.plot(sizes, [seconds for _, seconds, _ in points], "o-", color=RUN)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("memory_size in MB")
        axes.set_ylabel("seconds", color=RUN)
        # Sizes are mostly doubled: labels of the small ones would lie on each other.
        axes.set_xscale("log")
        axes.set_xticks(sizes, [str(size) for size in sizes])
        axes.set_xticks([], minor=True)
        axes.axvline(knee_mb, color=WAIT, linestyle="--")
        prices = [usd for _, _, usd in points if usd is not None]
        if len(prices) == len(points):
            right = axes.twinx()
            right.plot(sizes, [usd * 100 for usd in prices], "s-", color=FAILED)
            right.set_ylim(bottom=0)
            right.set_ylabel("US cents for each task", color=FAILED)
            _plain(right)
            right.spines["right"].set_visible(True)
        return _svg(figure)


def require_matplotlib() -> None:
    """Import what draws the pictures.

    Raises
    ------
    ConfigurationError
        It is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as exc:
        raise ConfigurationError(
            "Matplotlib, which draws the pictures, is not installed.",
            hint='Install it: pip install "covalent-lambda-container[report]"',
        ) from exc


@contextmanager
def _figure(width: _Width, rows: int) -> Iterator[tuple[Any, Any]]:
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {
        # Text is not converted to paths: small files, and the reader's own fonts.
        "svg.fonttype": "none",
        # Elements of all pictures of a page need names of their own.
        "svg.hashsalt": f"covalent-lambda {width.inches}",
        "font.family": "sans-serif",
        "font.size": 9,
        "text.color": _INK,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "xtick.color": _INK,
        "ytick.color": _INK,
    }
    with mpl.rc_context(settings):
        height = max(1.4, rows * _ROW_INCHES + 0.9)
        figure = Figure(figsize=(width.inches, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.grid(axis="x", alpha=0.25)
        axes.invert_yaxis()
        _plain(axes)
        yield figure, axes


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _name_rows(width: _Width, axes: Any, electrons: Sequence[Electron]) -> None:
    labels = [f"{_short(width, one.name)}  {one.node_id}" for one in electrons]
    # Names are arbitrary: a $ does not begin a formula.
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _short(width: _Width, name: str) -> str:
    most = width.name_characters
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _legend(axes: Any, colours: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    axes.figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="outside upper center",
        ncols=len(colours),
        frameon=False,
    )


def _svg(figure: Any) -> str:
    """Return a figure as an SVG element without background and external resources."""
    written = io.StringIO()
    figure.savefig(written, format="svg", transparent=True, metadata={"Date": None})
    element = written.getvalue()
    element = element[element.index("<svg") :]
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    return element.replace(_INK, "currentColor")
