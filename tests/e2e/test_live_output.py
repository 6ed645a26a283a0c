"""What a task prints is shown in its node while it runs, through a real Covalent server."""

from __future__ import annotations

import re
from typing import Any

import pytest

Shown = list[tuple[float, str, str, str]]
"""When a node showed what: stdout and stderr as Covalent's client has them, and the page's text."""


@pytest.fixture(scope="module")
def watched(dispatcher: Any) -> dict[str, Any]:
    record: dict[str, Any] = dispatcher.outcome("live_output.py")
    return record


def printed(shown: Shown) -> Shown:
    """Return what was shown since the task had printed something."""
    return [entry for entry in shown if "line 0" in entry[1]]


def test_a_nodes_output_grows_while_the_task_prints(watched: dict[str, Any]) -> None:
    *before, last = printed(watched["seen"]["live"])
    assert len(before) >= 2
    for _, stdout, stderr, page in before:
        assert last[1].startswith(stdout)
        # The page has a place for stderr only.
        assert stderr.startswith(stdout)
        assert page == stderr
    assert "a warning\n" in before[-1][2]


def test_it_comes_within_some_five_seconds(watched: dict[str, Any]) -> None:
    shown = printed(watched["seen"]["live"])
    for line in shown[-1][1].splitlines()[:-1]:
        at = next(moment for moment, stdout, _, _ in shown if line in stdout)
        # What was printed before the node showed anything waits for the first five seconds. Beside
        # the five: the upload, the look at it, the watcher's own pauses, and a busy machine.
        assert at - float(line.split()[0]) < 9


def test_the_output_in_the_end_is_byte_for_byte_what_the_task_printed(
    watched: dict[str, Any],
) -> None:
    for name, seconds in (("live", 18), ("kept", 12)):
        _, stdout, stderr, page = watched["seen"][name][-1]
        lines = "".join(rf"[0-9.]+ line {second}\n" for second in range(seconds))
        assert re.fullmatch(f"{lines}the end, \N{GRINNING FACE}", stdout)
        assert stderr.splitlines()[0] == "a warning"
        assert len(stderr.splitlines()) == 2, "and the usage line"
        assert page == stderr


def test_without_the_option_there_is_none_before_the_end(watched: dict[str, Any]) -> None:
    assert len(printed(watched["seen"]["kept"])) == 1


def test_a_task_that_timed_out_leaves_what_it_had_printed(watched: dict[str, Any]) -> None:
    _, stdout, _, page = watched["seen"]["too_long"][-1]
    assert "line 5" in stdout
    assert "did not end within 12 s" in page


def test_nothing_stays_in_the_bucket(
    watched: dict[str, Any], aws: Any, options: dict[str, Any]
) -> None:
    prefix = f"covalent-lambda/{watched['dispatch_id']}/"
    left = aws("s3").list_objects_v2(Bucket=options["s3_bucket_name"], Prefix=prefix)
    assert left["KeyCount"] == 0
