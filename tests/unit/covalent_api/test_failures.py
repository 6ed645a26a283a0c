"""The error of a failed node."""

from __future__ import annotations

import pytest

from covalent_lambda_container.covalent_api.failures import last_line


@pytest.mark.parametrize(
    ("stderr", "line"),
    [
        ("Traceback (most recent call last):\n  File …\nKeyError: 1\n\n\n", "KeyError: 1"),
        ("one line", "one line"),
        ("", ""),
        ("\n \n", ""),
    ],
)
def test_the_last_line_of_a_traceback_is_the_error(stderr: str, line: str) -> None:
    assert last_line(stderr) == line
