"""Draws which folder imports which: ``python docs/draw_folders.py > docs/folders.svg``.

The arrows are read from the code's own import statements. An arrow that others already imply (a → c
beside a → b → c) is left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from html import escape
from math import fsum
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.unit.test_layers import FILES, imported_modules, layer_of, module_path

WIDTH, ROW, BOX_HEIGHT, MARGIN = 1080, 92, 34, 24
INK, FAINT, PAPER, LINE = "#1f2937", "#6b7280", "#ffffff", "#94a3b8"
FONT = "DejaVu Sans, Verdana, Helvetica, Arial, sans-serif"

KINDS = {
    "faces: what people use": (
        "#e8f0fe",
        ("cli", "local", "doctor", "account", "awslambda_container", "report"),
    ),
    "what puts the parts together": ("#ede9fe", ("executor",)),
    "the three flows": ("#dcfce7", ("images", "functions", "tasks")),
    "outside systems": (
        "#fff4e0",
        (
            *("adapters", "adapters/aws", "adapters/docker", "adapters/registry"),
            *("ports", "covalent_api"),
        ),
    ),
    "values and tools": ("#f1f5f9", ()),
}
"""Fill colour and folders of each kind; the last kind has all others."""


def imports_of_folders() -> dict[str, set[str]]:
    """Return which folders each folder imports."""
    found: dict[str, set[str]] = {}
    for path in FILES:
        own = layer_of(module_path(path))
        imported = {layer_of(name) for name in imported_modules(path)}
        found.setdefault(own, set()).update(imported - {own})
    # The package's root only loads the plugin, and everybody may ask it for the version.
    return {name: below - {"__init__"} for name, below in found.items() if name != "__init__"}


def reachable(start: str, graph: dict[str, set[str]]) -> set[str]:
    below = set(graph[start])
    for name in graph[start]:
        below |= reachable(name, graph)
    return below


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the graph without the arrows that others imply."""
    return {
        name: {
            one
            for one in below
            if not any(one in reachable(other, graph) for other in below - {one})
        }
        for name, below in graph.items()
    }


def height_of(name: str, graph: dict[str, set[str]]) -> int:
    """Return a folder's row, counted from below."""
    return 1 + max((height_of(one, graph) for one in graph[name]), default=-1)


def rows(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the rows from top to bottom, each in an order that keeps arrows short."""
    heights = {name: height_of(name, graph) for name in graph}
    found = [
        sorted(name for name in graph if heights[name] == height)
        for height in range(max(heights.values()), -1, -1)
    ]
    arrows = reduced(graph)
    for _ in range(8):
        places = {
            name: (place + 1) / (len(row) + 1) for row in found for place, name in enumerate(row)
        }
        for row in found:
            row.sort(key=lambda name: (_middle(name, arrows, places), name))
    return found


def _middle(name: str, arrows: dict[str, set[str]], places: dict[str, float]) -> float:
    beside = [places[one] for one in arrows[name]]
    beside += [places[one] for one, below in arrows.items() if name in below]
    # A plain sum would depend on the order of the set, and with it which of two comes first.
    return fsum(beside) / len(beside) if beside else places[name]


def colour(name: str) -> str:
    return next((fill for fill, names in KINDS.values() if name in names), "#f1f5f9")


def drawing() -> Iterator[str]:
    graph = imports_of_folders()
    arrows, boxes = reduced(graph), {}
    for level, row in enumerate(rows(graph)):
        widths = [max(84, 8.6 * len(name) + 22) for name in row]
        space = (WIDTH - fsum(widths)) / len(row)
        left = space / 2
        for name, width in zip(row, widths, strict=True):
            boxes[name] = (left + width / 2, MARGIN + level * ROW, width)
            left += width + space
    for name, below in sorted(arrows.items()):
        x, y, _ = boxes[name]
        for other in sorted(below):
            to_x, to_y, _ = boxes[other]
            start, end = y + BOX_HEIGHT, to_y - 2
            bend = min(44, (end - start) / 2)
            yield (
                f'<path d="M{x:.1f} {start} C{x:.1f} {start + bend:.1f} {to_x:.1f} '
                f'{end - bend:.1f} {to_x:.1f} {end}" fill="none" stroke="{LINE}" '
                'stroke-width="1.3" marker-end="url(#head)"/>'
            )
    for name, (x, y, width) in sorted(boxes.items()):
        yield (
            f'<rect x="{x - width / 2:.1f}" y="{y}" width="{width:.1f}" height="{BOX_HEIGHT}" '
            f'rx="6" fill="{colour(name)}" stroke="{INK}"/>'
        )
        yield (
            f'<text x="{x:.1f}" y="{y + 22}" font-size="13" fill="{INK}" '
            f'text-anchor="middle">{escape(name)}</text>'
        )


def svg() -> str:
    levels = len(rows(imports_of_folders()))
    bottom = MARGIN + levels * ROW
    height = bottom + 30
    keys = []
    for place, (kind, (fill, _)) in enumerate(KINDS.items()):
        x = MARGIN + place * 190
        keys.append(
            f'<rect x="{x}" y="{bottom - 12}" width="16" height="16" rx="3" fill="{fill}" '
            f'stroke="{INK}"/><text x="{x + 22}" y="{bottom + 1}" font-size="11" '
            f'fill="{FAINT}">{escape(kind)}</text>'
        )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="{FONT}" role="img">\n'
        "<title>Which folder imports which</title>\n"
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 0 L10 5 L0 10 z" fill="{LINE}"/>'
        "</marker></defs>\n"
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>\n'
    )
    return head + "\n".join([*drawing(), *keys]) + "\n</svg>\n"


if __name__ == "__main__":
    print(svg(), end="")
