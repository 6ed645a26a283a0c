"""Minutes of tasks while everything breaks; twenty of them with `make soak`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MINUTES = 5


@pytest.mark.slow
@pytest.mark.soak
def test_no_answer_is_lost_while_everything_breaks(engine: None) -> None:
    # In a process of its own, whose memory is measured. Its seed is the first line.
    ended = subprocess.run(
        [sys.executable, "-m", "tests.soak", "--minutes", str(MINUTES)],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    print(ended.stdout)
