"""What ``covalent-lambda why`` shows of a task's output."""

from __future__ import annotations

import pytest

from covalent_lambda_container.cli.formats import number_of
from covalent_lambda_container.cli.why import without_stdout


@pytest.mark.parametrize(
    ("stderr", "stdout", "shown"),
    [
        ("one\ntwo\n", "one\ntwo\n", ""),
        ("one\nwarning\n", "one\n", "warning\n"),
        ("one\nwarning\n", "one", "warning\n"),
        ("\nwarning", "", "\nwarning"),
        ("warning", "one", "warning"),
        ("about", "a", "about"),
        ("one\n", "one", ""),
    ],
)
def test_output_that_both_streams_hold_is_shown_once(stderr: str, stdout: str, shown: str) -> None:
    assert without_stdout(stderr, stdout) == shown


def test_one_is_not_many() -> None:
    texts = [number_of(range(count), "failed task") for count in range(3)]
    assert texts == ["0 failed tasks", "1 failed task", "2 failed tasks"]
