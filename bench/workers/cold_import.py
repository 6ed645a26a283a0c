"""Runs inside a task image, on its Python only: prints how many milliseconds an import takes."""

from __future__ import annotations

import subprocess
import sys
import time

PROGRAM = "import sys; sys.path.insert(0, '/var/task'); import pandas, scipy.stats"

if __name__ == "__main__":
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", PROGRAM], check=True)
    print((time.perf_counter() - started) * 1000)
