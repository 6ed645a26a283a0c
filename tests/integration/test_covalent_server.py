"""A real Covalent server of one's own: what it does, where it writes, what is left at its end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from covalent_lambda_container.local.child_process import python_path
from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server

WORKFLOW = """
import covalent as ct

@ct.electron
def add(a, b):
    return a + b

@ct.lattice
def flow(a, b):
    return add(add(a, b), b)

print(ct.get_result(ct.dispatch(flow)(1, 2), wait=True).result)
"""
SLOW_WORKFLOW = """
import time
import covalent as ct

@ct.electron
def wait(started):
    open(started, "w").close()
    time.sleep(600)

@ct.lattice
def flow(started):
    return wait(started)

print(ct.dispatch(flow)(STARTED))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, empty, and the user's own idea of where Covalent is."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    for name in list(os.environ):
        if name.startswith(("COVALENT_", "XDG_", "DASK_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("COVALENT_SVC_PORT", "48008")
    monkeypatch.setenv("COVALENT_DATABASE_URL", "sqlite+pysqlite:////nowhere/database")
    return folder


def test_runs_workflows_as_configured_and_leaves_home_alone(home: Path, tmp_path: Path):
    state, workdir = tmp_path / "state", str(tmp_path / "workdir")
    of_config = "import covalent as ct; print(ct.get_config('executors.local.workdir'))"
    of_environment = WORKFLOW.replace("a + b", "a + b + int(__import__('os').environ['EXTRA'])")
    executors = {"local": {"workdir": workdir}}
    with covalent_server(state, {"EXTRA": "100"}, print, executors=executors) as server:
        assert _client(server, WORKFLOW) == "5"
        # Executors are configured for server and clients, and the server has the environment.
        assert _client(server, of_config) == workdir
        assert _client(server, of_environment) == "205"
    assert list(home.rglob("*")) == []
    assert (state / "covalent.sqlite").exists()
    _assert_gone(server, state)


def test_starts_again_in_the_same_folder(home: Path, tmp_path: Path):
    with covalent_server(tmp_path / "state", {}, print) as first:
        pass
    with covalent_server(tmp_path / "state", {}, print) as second:
        assert second.address != first.address
        assert _client(second, WORKFLOW) == "5"


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_runs_where_processes_are_not_forked(home: Path, tmp_path: Path, method: str):
    # As on macOS, and on Linux from Python 3.14 on.
    customized = tmp_path / "customized"
    customized.mkdir()
    (customized / "sitecustomize.py").write_text(
        f"import multiprocessing\nmultiprocessing.set_start_method({method!r})\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join([str(customized), python_path()])}
    with covalent_server(tmp_path / "state", environment, print) as server:
        assert _client(server, WORKFLOW) == "5"


def test_ends_with_a_task_that_runs(home: Path, tmp_path: Path):
    state = tmp_path / "state"
    started = tmp_path / "started"
    with covalent_server(state, {}, print) as server:
        _client(server, SLOW_WORKFLOW.replace("STARTED", repr(str(started))))
        _wait_for(started)
    _assert_gone(server, state)


def test_ends_with_its_parent(home: Path, tmp_path: Path):
    state = tmp_path / "state"
    script = (
        "import sys, time; from pathlib import Path\n"
        "from covalent_lambda_container.local.covalent_server import covalent_server\n"
        "with covalent_server(Path(sys.argv[1]), {}, lambda line: None) as server:\n"
        "    print(server.address, flush=True); time.sleep(300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(state)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith("http://localhost:")
        assert _processes_with(state)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while _processes_with(state):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _client(server: CovalentServer, script: str) -> str:
    client = subprocess.run(
        [sys.executable, "-c", script],
        env=dict(server.environment),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert client.returncode == 0, f"{client.stderr}\n{server.log_file.read_text()[-4000:]}"
    return client.stdout.strip()


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _assert_gone(server: CovalentServer, state: Path) -> None:
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(server.address.rpartition(":")[2]))) != 0
    assert _processes_with(state) == []


def _processes_with(state: Path) -> list[int]:
    """Return the processes that have the folder in their environment."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and str(state) in str(process.environ()):
                found.append(process.pid)
    return found
