"""Pictures as SVG text, drawn by Matplotlib."""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.report.electrons import Electron

_INK: Final = "#010203"
"""Placeholder for the colour of the page's text, so that pictures fit light and dark pages."""
WAIT, RUN, FAILED, PAID = "#9aa5b1", "#2563eb", "#dc2626", "#cbd5e1"
_WIDTH_INCHES: Final = 9.0
_ROW_INCHES: Final = 0.26
MOST_ROWS: Final = 120
_NAME_CHARACTERS: Final = 28


def timeline(electrons: Sequence[Electron]) -> str:
    """Draw when each electron waited and when it ran."""
    shown = [one for one in electrons if one.started][:MOST_ROWS]
    if not shown:
        return ""
    origin = min(one.started for one in shown if one.started)
    with _figure(len(shown)) as (figure, axes):
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
        _name_rows(axes, shown)
        axes.set_xlabel("seconds since the first electron started")
        _legend(axes, {"waiting": WAIT, "running": RUN, "failed": FAILED})
        return _svg(figure)


def memory(electrons: Sequence[Electron]) -> str:
    """Draw the memory that each electron used, and the memory paid for."""
    shown = [one for one in electrons if one.used][:MOST_ROWS]
    if not shown:
        return ""
    with _figure(len(shown)) as (figure, axes):
        for row, one in enumerate(shown):
            if one.used:
                axes.barh(row, one.used.memory_mb, color=PAID, height=0.7)
                axes.barh(row, one.used.peak_memory_mb, color=RUN, height=0.7)
        _name_rows(axes, shown)
        axes.set_xlabel("MB")
        _legend(axes, {"used": RUN, "paid for": PAID})
        return _svg(figure)


def cost(electrons: Sequence[Electron]) -> str:
    """Draw the cost of electrons, grouped by name; nothing if nothing was billed."""
    sums: dict[str, float] = defaultdict(float)
    for one in electrons:
        if one.used and one.used.cost_usd is not None:
            sums[one.name] += one.used.cost_usd
    rows = sorted(sums.items(), key=lambda item: -item[1])[:MOST_ROWS]
    if not rows:
        return ""
    with _figure(len(rows)) as (figure, axes):
        for row, (_, usd) in enumerate(rows):
            axes.barh(row, usd * 100, color=RUN, height=0.7)
        axes.set_yticks(range(len(rows)), [_short(name) for name, _ in rows], parse_math=False)
        axes.set_xlabel("US cents for Lambda, list price")
        return _svg(figure)


def time_and_cost(points: Sequence[tuple[int, float, float | None]], knee_mb: int) -> str:
    """Draw the duration and cost of a task at several memory sizes.

    Parameters
    ----------
    points
        Memory in MB, seconds, and US dollars, or None if nothing is billed.
    knee_mb
        The size to mark.
    """
    with _figure(10) as (figure, axes):
        sizes = [size for size, _, _ in points]
        axes.invert_yaxis()
        axes.plot(sizes, [seconds for _, seconds, _ in points], "o-", color=RUN)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("memory_size in MB")
        axes.set_ylabel("seconds", color=RUN)
        axes.set_xticks(sizes, [str(size) for size in sizes])
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
def _figure(rows: int) -> Iterator[tuple[Any, Any]]:
    require_matplotlib()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    settings: Any = {
        # Text is not converted to paths: small files, and the reader's own fonts.
        "svg.fonttype": "none",
        "svg.hashsalt": "covalent-lambda",
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
        figure = Figure(figsize=(_WIDTH_INCHES, height), layout="constrained")
        axes = figure.add_subplot()
        axes.set_axisbelow(True)
        axes.grid(axis="x", alpha=0.25)
        axes.invert_yaxis()
        _plain(axes)
        yield figure, axes


def _plain(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _name_rows(axes: Any, electrons: Sequence[Electron]) -> None:
    labels = [f"{_short(one.name)}  {one.node_id}" for one in electrons]
    # Names are arbitrary: a $ does not begin a formula.
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_ylim(len(labels) - 0.4, -0.6)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else f"{name[: _NAME_CHARACTERS - 1]}…"


def _legend(axes: Any, colours: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="lower left",
        bbox_to_anchor=(0, 1),
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
