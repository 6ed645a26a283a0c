"""The messages on unsupported systems."""

from __future__ import annotations

import subprocess
import sys


def test_windows_is_refused_by_a_sentence() -> None:
    program = "import sys; sys.platform = 'win32'; import covalent_lambda_container"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode != 0
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: covalent-lambda-container runs on Linux and macOS")
    assert "WSL 2" in last
