"""Processes: what a task started ends with it, and nothing else does."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")

# In a session of its own and with a mark of its own: it must not find anybody else's processes.
SCRIPT = """
import json, os, signal, subprocess, sys, time
before = subprocess.Popen(["sleep", "60"])
from covalent_lambda_container.runtime import processes
processes.MARK = sys.argv[1]

def daemon(environment):
    "Start a program that has neither its starter's group nor its starter as its parent."
    command = "setsid sleep 60 >/dev/null 2>&1 & echo $!"
    started = subprocess.run(["sh", "-c", command], env=environment, stdout=subprocess.PIPE)
    return int(started.stdout)

def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

stranger = daemon(dict(os.environ))
marked = daemon(os.environ | {processes.MARK: "1"})
child = subprocess.Popen(["sleep", "60"]).pid
fork = os.fork()
if not fork:
    time.sleep(60)
time.sleep(0.1)
ended = processes.end_leftovers()
time.sleep(0.1)
left = {"before": before.pid, "stranger": stranger, "marked": marked, "child": child, "fork": fork}
print(json.dumps({name: alive(pid) for name, pid in left.items()} | {"ended": ended}))
for pid in (before.pid, stranger):
    os.kill(pid, signal.SIGKILL)
"""


def test_what_a_task_started_is_ended_and_nothing_else(tmp_path: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"MARK_{uuid.uuid4().hex}"],
        cwd=tmp_path,
        start_new_session=True,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout) == {
        "before": True,
        "stranger": True,
        "marked": False,
        "child": False,
        "fork": False,
        "ended": 3,
    }
