"""A task's output is shown in its node while it runs, through a real Covalent server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import harmless
from covalent_lambda_container.tasks.usage import parse_line

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
    for line in re.findall(r"^[0-9.]+ line \d+$", shown[-1][1], re.MULTILINE):
        at = next(moment for moment, stdout, _, _ in shown if line in stdout)
        # What was printed before the node showed anything waits for the first five seconds. Beside
        # the five: the upload, the look at it, the watcher's own pauses, and a busy machine.
        assert at - float(line.split()[0]) < 9


def test_the_final_output_is_byte_for_byte_the_tasks(
    watched: dict[str, Any],
) -> None:
    for name, seconds in (("live", 18), ("kept", 12)):
        _, stdout, stderr, page = watched["seen"][name][-1]
        lines = "".join(rf"[0-9.]+ line {second}\n" for second in range(seconds))
        odd = re.escape("10%\r20%\r\x1b[1mdone\x1b[0m\r\n\t \u2028\x0c\x00\n")
        assert re.fullmatch(f"{lines}{odd}the end, \N{GRINNING FACE}", stdout)
        assert stderr.splitlines()[0] == "a warning"
        assert len(stderr.splitlines()) == 2, "and the usage line"
        assert page == stderr


def test_without_the_option_there_is_none_before_the_end(watched: dict[str, Any]) -> None:
    assert len(printed(watched["seen"]["kept"])) == 1


def test_a_task_that_timed_out_keeps_its_output(watched: dict[str, Any]) -> None:
    _, stdout, _, page = watched["seen"]["too_long"][-1]
    assert "line 5" in stdout
    assert "did not end within 12 s" in page


def test_nothing_remains_in_the_bucket(
    watched: dict[str, Any], aws: Any, options: dict[str, Any]
) -> None:
    prefix = f"covalent-lambda/{watched['dispatch_id']}/"
    left = aws("s3").list_objects_v2(Bucket=options["s3_bucket_name"], Prefix=prefix)
    assert left["KeyCount"] == 0


def test_a_terminal_shows_the_same_as_it_comes(watched: dict[str, Any]) -> None:
    (node, *_), (_, stdout, stderr, _) = watched["nodes"], watched["seen"]["live"][-1]
    lines = [(at, line) for at, line in watched["followed"] if line["node_id"] == node]
    texts: dict[str, list[str]] = {"stdout": [], "stderr": [], "state": []}
    for _, line in lines:
        if "(since" not in line["text"]:
            texts[line["stream"]].append(line["text"])
    assert texts["stdout"] == stdout.split("\n")
    assert texts["stderr"] == stderr.splitlines()
    assert texts["state"] == ["completed"]
    first = next(at for at, line in lines if line["text"].endswith("line 0"))
    assert first < lines[-1][0] - 5, "while the task ran"


def covalent_lambda(dispatcher: Any, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("covalent-lambda"), *arguments],
        env={**dispatcher.server.environment, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_one_node_is_shown_as_it_printed(dispatcher: Any, watched: dict[str, Any]) -> None:
    _, stdout, stderr, _ = watched["seen"]["live"][-1]
    node = str(watched["nodes"][0])
    shown = covalent_lambda(
        dispatcher, "logs", "--dispatch", watched["dispatch_id"], "--node", node
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    # A task must not move the cursor of who reads it.
    assert shown.stdout.split("\n") == [*harmless(stdout).split("\n"), *stderr.split("\n")]
    assert "\\x1b[1mdone" in shown.stdout


def test_the_report_agrees_with_the_usage_lines(dispatcher: Any, watched: dict[str, Any]) -> None:
    ended = covalent_lambda(dispatcher, "report", watched["dispatch_id"], "--json")
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    electrons = {one["node_id"]: one for one in report["electrons"]}
    options = {"architecture": "x86_64", "ephemeral_storage_mb": 512, "timeout_s": 60}
    run_ms = 0.0
    for node, shown in zip(watched["nodes"], watched["seen"].values(), strict=True):
        line, usage = parse_line(shown[-1][2], **options), electrons[node]["usage"]
        if line is None:
            # The task that timed out has no answer of the handler's, and no usage line.
            assert (electrons[node]["state"], usage) == ("FAILED", None)
            continue
        assert usage["duration_ms"] == pytest.approx(line.duration_ms, abs=0.05)
        assert (usage["cold"], usage["memory_mb"]) == (line.cold, line.memory_mb)
        run_ms += line.duration_ms
    assert report["totals"]["run_s"] == pytest.approx(run_ms / 1000, abs=0.001)
    assert (report["totals"]["electrons"], report["totals"]["failed"]) == (3, 1)


def test_a_node_that_does_not_exist_is_an_error(dispatcher: Any, watched: dict[str, Any]) -> None:
    refused = covalent_lambda(
        dispatcher, "logs", "--dispatch", watched["dispatch_id"], "--node", "99"
    )
    assert refused.returncode == 2
    assert "no node 99" in refused.stderr
    assert f"{watched['nodes'][0]} (speak)" in refused.stderr
