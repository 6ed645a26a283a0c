"""Tables as text: one line for each row, or fitted to a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence
from typing import Final

_GAP: Final = "  "
_NARROWEST: Final = 10
"""Fewest characters to which a column is wrapped."""
_LONGEST_WORD: Final = 24
"""Words up to this length are not broken as long as the table fits."""


def lines_of(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    width: int | None = None,
    whole: Collection[str] = (),
) -> list[str]:
    """Return the lines of a table.

    Parameters
    ----------
    columns
        Headings.
    rows
        Cells; each row has as many as there are headings.
    width
        Most characters in a line; None for no limit, with one line for each row.
    whole
        Headings of columns whose cells are not broken, since people copy them.

    Returns
    -------
    list of str
        If not even wrapped cells fit, each row is a paragraph with a line for each cell.
    """
    cells = [[column.upper() for column in columns], *rows]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    if width is not None and _total(widths) > width:
        fixed = [name in whole or widths[place] <= _NARROWEST for place, name in enumerate(columns)]
        least = [
            size if keep else min(size, max(_NARROWEST, _longest_word(row[place] for row in cells)))
            for place, (size, keep) in enumerate(zip(widths, fixed, strict=True))
        ]
        if _total(least) > width:
            return _paragraphs(columns, rows, width, whole)
        while _total(widths) > width:
            place = max(
                (place for place in range(len(columns)) if widths[place] > least[place]),
                key=widths.__getitem__,
            )
            widths[place] -= 1
    return [line for row in cells for line in _wrapped(row, widths)]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(_GAP) * (len(widths) - 1)


def _wrapped(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    broken = [_broken(cell, width) for cell, width in zip(row, widths, strict=True)]
    height = max(map(len, broken))
    return [
        _GAP.join(
            (cell[number] if number < len(cell) else "").ljust(width)
            for cell, width in zip(broken, widths, strict=True)
        ).rstrip()
        for number in range(height)
    ]


def _broken(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]


def _longest_word(cells: Iterable[str]) -> int:
    words = (len(word) for cell in cells for word in cell.split())
    return min(_LONGEST_WORD, max(words, default=0))


def _paragraphs(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int, whole: Collection[str]
) -> list[str]:
    label = max(map(len, columns))
    lines: list[str] = []
    for row in rows:
        if lines:
            lines.append("")
        for column, cell in zip(columns, row, strict=True):
            space = max(_NARROWEST, width - label - len(_GAP))
            first, *others = [cell] if column in whole else _broken(cell, space)
            lines.append(f"{column.upper():{label}}{_GAP}{first}".rstrip())
            lines += [" " * label + _GAP + other for other in others]
    return lines
