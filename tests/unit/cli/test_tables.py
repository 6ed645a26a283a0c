"""Tables: a line for each row, or fitted to a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.cli.tables import lines_of

NAME = "covalent-20193b0346945e4e-ddf6c09f7176e433"
COLUMNS = ["kind", "name", "packages", "for"]
ROWS = [
    ["function", NAME, "numpy==2.1.0, pandas==2.2.3, scipy==1.14.1", "flow.py:workflow/train"],
    ["image", "2b2b9d0f9d9c", "no packages", ""],
]


def test_without_a_width_each_row_is_a_line() -> None:
    lines = lines_of(COLUMNS, ROWS)
    assert len(lines) == 3
    assert lines[1] == "  ".join(ROWS[0])


def test_cells_are_wrapped_where_they_do_not_fit_and_names_are_not() -> None:
    lines = lines_of(COLUMNS, ROWS, width=90, whole=["name"])
    assert max(map(len, lines)) <= 90
    assert sum(NAME in line for line in lines) == 1
    assert "numpy==2.1.0," in "\n".join(lines)


def test_each_row_is_a_paragraph_where_nothing_else_fits() -> None:
    lines = lines_of(COLUMNS, ROWS, width=55, whole=["name"])
    assert lines[:2] == ["KIND      function", f"NAME      {NAME}"]
    assert "" in lines


@given(
    rows=st.lists(st.lists(st.text("ab c-", max_size=60), min_size=3, max_size=3), max_size=4),
    width=st.integers(min_value=30, max_value=200),
)
def test_no_line_is_wider_and_no_word_is_lost(rows: list[list[str]], width: int) -> None:
    lines = lines_of(["one", "two", "three"], rows, width=width)
    assert all(len(line) <= width for line in lines)
    text = "".join("\n".join(lines).split())
    for row in rows:
        for cell in row:
            for word in cell.split():
                assert set(word) <= set(text)


@pytest.mark.parametrize("width", [None, 80])
def test_a_table_without_rows_has_its_head(width: int | None) -> None:
    assert lines_of(["one", "two"], [], width=width) == ["ONE  TWO"]
