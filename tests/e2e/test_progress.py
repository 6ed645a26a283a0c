"""Progress and cost of tasks, through a real Covalent server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import chromium
from tests.unit.report.test_dispatch_report import Loaded


@pytest.fixture(scope="module")
def watched(dispatcher: Any) -> dict[str, Any]:
    record: dict[str, Any] = dispatcher.outcome("progress.py")
    return record


def command(dispatcher: Any, *arguments: str) -> str:
    program = Path(sys.executable).with_name("covalent-lambda")
    environment = {**dispatcher.server.environment, "PATH": os.environ["PATH"]}
    # There, Matplotlib is hidden, as all that only tasks need.
    del environment["PYTHONPATH"]
    ended = subprocess.run(
        [program, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr + ended.stdout
    return ended.stdout


def test_a_node_shows_its_progress(watched: dict[str, Any]) -> None:
    *before, last = watched["seen"]
    waiting = [text for text in before if "since" in text]
    assert waiting
    for text in waiting:
        assert re.fullmatch(r"[^\n]+ \(since \d\d:\d\d:\d\d UTC\)\n", text)
    # Byte for byte what the task printed.
    assert last == "printed\nby the task"


def test_covalents_page_shows_it_too(watched: dict[str, Any]) -> None:
    *before, last = watched["shown"]
    assert any("since" in text for text in before)
    assert last.splitlines()[0] == "a warning"
    assert "since" not in last


def test_the_report_agrees_with_the_usage_line(dispatcher: Any, watched: dict[str, Any]) -> None:
    line = watched["shown"][-1].splitlines()[1]
    report = json.loads(command(dispatcher, "report", watched["dispatch_id"], "--json"))
    assert [one["name"] for one in report["electrons"]] == ["work"]
    (electron,) = report["electrons"]
    assert electron["name"] == "work"
    assert electron["state"] == "COMPLETED"
    assert f"{electron['usage']['duration_ms']:.1f} ms" in line
    # The stack is not AWS.
    assert electron["cost_usd"] is None
    assert report["totals"]["lambda_usd"] == 0
    assert electron["wait_s"] > 5


def test_the_reports_page_loads_nothing(
    dispatcher: Any, watched: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "report.html"
    shown = command(dispatcher, "report", watched["dispatch_id"], "--html", str(file))
    assert "Nothing was billed" in shown
    page = Loaded()
    page.feed(file.read_text("utf-8"))
    assert page.found == []
    if chromium.PROGRAM is not None:
        with chromium.browser() as browser:
            browser.open(file.as_uri())
            assert browser.problems == []
            assert browser.requests == [file.as_uri()]
            assert watched["dispatch_id"] in browser.text


@pytest.mark.slow
def test_tune_finds_the_knee_of_a_task_whose_speed_follows_memory(
    dispatcher: Any, tmp_path: Path
) -> None:
    workflow = tmp_path / "workflow.py"
    workflow.write_text(
        "import covalent as ct\n"
        "@ct.electron(executor='awslambda_container')\n"
        "def work():\n"
        "    import os, time\n"
        "    memory = int(os.environ['AWS_LAMBDA_FUNCTION_MEMORY_SIZE'])\n"
        "    if memory < 256:\n"
        "        raise MemoryError\n"
        "    time.sleep(0.4 * max(1, 1024 / memory))\n"
        "@ct.lattice\n"
        "def workflow():\n"
        "    return work()\n"
    )
    arguments = ["tune", f"{workflow}:workflow", "--memory", "128,256,1024,4096", "--runs", "2"]
    document = json.loads(command(dispatcher, *arguments, "--yes", "--json"))
    (work,) = document["electrons"]
    assert work["knee_mb"] == 1024
    assert [size["runs"] for size in work["sizes"]] == [2, 2, 2]
    assert all(size["cost_usd"] is None for size in work["sizes"])
    assert [(one["memory_mb"], one["reason"]) for one in work["failed"]] == [(128, "out of memory")]
