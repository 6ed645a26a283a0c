"""A dispatcher without Docker finds prebuilt images by their content."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import step_log
from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server
from tests.e2e.conftest import Dispatcher

PROGRAM = str(Path(sys.executable).with_name("covalent-lambda"))
IRIS = Path(__file__).parents[2] / "examples" / "iris_svm.py"
NOWHERE = "tcp://127.0.0.1:9"


@pytest.fixture
def without_docker(options: dict[str, Any], tmp_path: Path) -> Iterator[Dispatcher]:
    """A dispatcher of its own, that no Docker engine answers."""
    journal_file = tmp_path / "journal"
    with covalent_server(
        tmp_path / "server",
        {step_log.VARIABLE: str(journal_file), "DOCKER_HOST": NOWHERE},
        print,
        executors={"awslambda_container": options | {"cache_dir": str(tmp_path / "cache")}},
    ) as server:
        yield Dispatcher(server, journal_file)


def run(
    server: CovalentServer, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in a client of the server."""
    return subprocess.run(
        [PROGRAM, "prebuild", *arguments, "--json"],
        env={**server.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def prebuild(server: CovalentServer, *arguments: str, **environment: str) -> list[dict[str, Any]]:
    """Run the command in a client of the server; return its result."""
    ended = run(server, *arguments, **environment)
    assert ended.returncode == 0, ended.stderr
    result: list[dict[str, Any]] = json.loads(ended.stdout)
    return result


def test_a_dispatcher_without_docker_runs_prebuilt_images(without_docker: Dispatcher):
    (made,) = prebuild(without_docker.server, str(IRIS), "--kwargs", '{"copies": 2000}')
    assert made["requirements"] == ["scikit-learn==1.7.2"]
    assert "COMPLETED" in without_docker.run(IRIS)
    assert not without_docker.steps("image.build")
    assert not without_docker.steps("function.create")


@pytest.mark.parametrize("script", ["data_follows.py", "covalent_inside.py"])
def test_a_finished_dispatch_shows_its_tasks_packages(dispatcher: Dispatcher, script: str):
    before = len(dispatcher.steps("task.invoke"))
    outcome = dispatcher.outcome(script)
    assert outcome["status"] == "COMPLETED"
    server = dispatcher.server
    used = prebuild(server, "--dispatch", outcome["dispatch_id"], "--check", DOCKER_HOST=NOWHERE)
    assert {row["state"] for row in used} == {"there"}
    invoked = dispatcher.steps("task.invoke")[before:]
    assert {row["function"] for row in used} == {step["function"] for step in invoked}


def test_a_dispatch_that_is_not_there_is_named(dispatcher: Dispatcher):
    ended = run(dispatcher.server, "--dispatch", "00000000-0000-4000-8000-000000000000")
    assert ended.returncode == 2
    assert "has no dispatch '00000000-0000-4000-8000-000000000000'" in ended.stderr
