"""Draws the results of the benchmarks: ``python docs/draw_benchmarks.py > docs/benchmarks.svg``.

The figures are those of the table in ``docs/benchmarks.md``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent / "benchmarks.md"
ROW_HEIGHT, LEFT, SCALE, TOP = 26, 230, 330, 46
LONGEST = 1.75
"""Length of the longest bar, in targets: the rest of the width is for its label."""
INK, FAINT, PAPER, MET, MISSED = "#1f2937", "#6b7280", "#ffffff", "#2563eb", "#d97706"
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"
ROW = re.compile(
    r"^\| `(\w+)` \| (−?[\d.]+)(?: (\w+))?[^|]*\| ([≤≥]) (−?[\d.]+)[^|]*\|$", re.MULTILINE
)


class Figure(NamedTuple):
    """One figure of the table."""

    name: str
    value: float
    unit: str
    target: float
    more_is_better: bool

    @property
    def share(self) -> float:
        """The value relative to its target; 1 is the target, and less is better."""
        ratio = self.value / self.target
        return 1 / ratio if self.more_is_better else ratio


def figures() -> list[Figure]:
    """Return the figures that have a target other than 0."""
    results = PAGE.read_text("utf-8").partition("## Results")[2]
    found = [
        Figure(name, _number(value), unit, _number(target), sign == "≥")
        for name, value, unit, sign, target in ROW.findall(results)
    ]
    return [figure for figure in found if figure.target and figure.value > 0]


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


def drawing() -> Iterator[str]:
    for number, figure in enumerate(figures()):
        y = TOP + number * ROW_HEIGHT
        width = min(LONGEST, figure.share) * SCALE
        colour = MET if figure.share <= 1 else MISSED
        value = f"{figure.value:g} {figure.unit}".strip()
        value += " (bar cut off)" if figure.share > LONGEST else ""
        yield (
            f'<text x="{LEFT - 10}" y="{y + 14}" font-size="12" fill="{INK}" '
            f'text-anchor="end">{escape(figure.name)}</text>'
        )
        yield f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="18" fill="{colour}"/>'
        yield (
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 14}" font-size="12" '
            f'fill="{FAINT}">{escape(value)}</text>'
        )


def svg() -> str:
    height = TOP + len(figures()) * ROW_HEIGHT + 16
    width = LEFT + 2 * SCALE + 90
    line = LEFT + SCALE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="{FONT}" role="img">\n'
        "<title>Benchmarks relative to their targets</title>\n"
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>\n'
        + "\n".join(drawing())
        + f'\n<line x1="{line}" y1="{TOP - 12}" x2="{line}" y2="{height - 8}" stroke="{INK}" '
        'stroke-dasharray="4 3"/>\n'
        f'<text x="{line}" y="{TOP - 20}" font-size="12" fill="{INK}" text-anchor="middle">'
        "target; shorter is better</text>\n</svg>\n"
    )


if __name__ == "__main__":
    print(svg(), end="")
