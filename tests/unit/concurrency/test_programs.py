"""Programs run to their end, unless the work that needs them is cancelled."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.concurrency.programs import run_program

# Its child holds its output open, and writes down who it is.
PARENT = """
import subprocess, sys
subprocess.run(["sh", "-c", "echo $$ > pid; sleep 60"])
"""


def test_a_programs_output_and_status_are_returned(tmp_path: Path) -> None:
    code = "import os, sys; print(os.getcwd()); sys.stderr.write(os.environ['WORD']); sys.exit(3)"
    status, output = run_program(
        [sys.executable, "-c", code], environment={"WORD": "said"}, folder=tmp_path
    )
    assert (status, output) == (3, f"{tmp_path}\nsaid")


@pytest.mark.parametrize("start", ["", "setsid "])
def test_what_a_program_leaves_running_is_not_waited_for(tmp_path: Path, start: str) -> None:
    script = f"{start}sleep 30 & echo $! > pid; echo done; exit 3"
    begun = time.monotonic()
    status, output = run_program(
        ["sh", "-c", script], environment=dict(os.environ), folder=tmp_path
    )
    assert (status, output) == (3, "done\n")
    assert time.monotonic() - begun < 20
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def is_running(number: int) -> bool:
    status = Path(f"/proc/{number}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_cancelled_program_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    cancellation, noted = Cancellation(), tmp_path / "pid"
    running = in_background(
        lambda: run_program(
            [sys.executable, "-c", PARENT], environment=dict(os.environ), folder=tmp_path
        ),
        cancellation,
    )
    ends = time.monotonic() + 20
    while not (noted.exists() and noted.read_text().strip()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    child = int(noted.read_text())
    assert is_running(child)
    cancellation.request()
    with pytest.raises(Cancelled):
        running.result(5)
    while is_running(child):
        assert time.monotonic() < ends
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_program_ends_with_a_thread_that_is_interrupted(tmp_path: Path) -> None:
    code = (
        "import sys, signal, os, threading\n"
        "from pathlib import Path\n"
        "from covalent_lambda_container.concurrency.programs import run_program\n"
        "threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT)).start()\n"
        f"run_program([sys.executable, '-c', {PARENT!r}], environment=dict(os.environ))\n"
    )
    status, output = run_program(
        [sys.executable, "-c", code], environment=dict(os.environ), folder=tmp_path
    )
    assert status == -signal.SIGINT, output
    child = int((tmp_path / "pid").read_text())
    ends = time.monotonic() + 10
    while is_running(child):
        assert time.monotonic() < ends
        time.sleep(0.01)
