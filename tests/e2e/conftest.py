"""A real Covalent server whose executor leads to the local stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import step_log
from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server

WORKFLOWS = Path(__file__).parent / "workflows"

HIDE_PACKAGES = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_others(name, path=None, target=None):
    hidden = name in {"matplotlib", "numpy", "pandas", "scipy", "sklearn"}
    return None if hidden else find_spec(name, path, target)

PathFinder.find_spec = find_others
"""


@dataclass(frozen=True)
class Dispatcher:
    """Runs workflow scripts against the server."""

    server: CovalentServer
    journal_file: Path

    def run(self, script: Path | str, *arguments: str) -> str:
        """Run a script as a user would; return what it printed."""
        client = subprocess.run(
            [sys.executable, str(WORKFLOWS / script), *arguments],
            env=dict(self.server.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        log = self.server.log_file.read_text()[-8000:]
        assert client.returncode == 0, f"{client.stdout}\n{client.stderr}\n{log}"
        return client.stdout

    def outcome(self, script: str, *arguments: str) -> dict[str, Any]:
        """Run a script of tests/e2e/workflows; return the record it printed."""
        record: dict[str, Any] = json.loads(self.run(script, *arguments).splitlines()[-1])
        return record

    def steps(self, name: str) -> list[dict[str, Any]]:
        """Return what the executor recorded of one kind of step."""
        return [step for step in step_log.read(self.journal_file) if step["step"] == name]


@pytest.fixture(scope="session")
def without_task_packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide the packages of tasks from child processes.

    This Python has some of them, since the pictures of reports need them; dispatchers and clients
    must not.
    """
    folder = tmp_path_factory.mktemp("without-task-packages")
    (folder / "sitecustomize.py").write_text(HIDE_PACKAGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


@pytest.fixture(scope="session")
def dispatcher(
    options: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    without_task_packages: None,
) -> Iterator[Dispatcher]:
    folder = tmp_path_factory.mktemp("covalent")
    journal_file = folder / "journal"
    executor = options | {"cache_dir": str(folder / "cache")}
    with covalent_server(
        folder / "server",
        {step_log.VARIABLE: str(journal_file)},
        print,
        executors={"awslambda_container": executor},
    ) as server:
        yield Dispatcher(server, journal_file)
