"""Lines and characters that come in pieces."""

from __future__ import annotations

import pytest

from covalent_lambda_container.adapters.docker.lines import Lines


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_and_characters_are_whole_however_they_are_cut(size: int) -> None:
    written = "é\r\n\n50 %\r100 %\nende – ü"
    for whole in (written, written.encode()):
        lines = Lines()
        pieces = [whole[start : start + size] for start in range(0, len(whole), size)]
        found = [line for piece in pieces for line in lines.of(piece)] + lines.end()
        assert [line for line in found if line] == ["é", "50 %", "100 %", "ende – ü"]


def test_a_line_without_end_does_not_fill_the_memory() -> None:
    lines = Lines()
    assert sum(len(line) for _ in range(100) for line in lines.of("x" * 10_000)) > 900_000
