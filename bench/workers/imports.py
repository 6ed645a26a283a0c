"""Runs inside a task image, with only its Python and standard library: times fresh interpreters.

Its arguments are the number of rounds and the handler's module. It prints JSON: the milliseconds of
every start, and the modules that are there once the handler is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

CLIENT = "import awslambdaric.bootstrap"
# What happens at the end of an interpreter is left out: Lambda's does not end.
END = "import os; os._exit(0)"


def measure(rounds: int, handler: str) -> dict[str, Any]:
    """Start interpreters that import Lambda's runtime client, and every other the handler too."""
    both = f"{CLIENT}; import {handler}"
    sides = {"client": f"{CLIENT}; {END}", "handler": f"{both}; {END}"}
    samples: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(rounds):
        for side in sorted(sides, reverse=number % 2 == 1):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", sides[side]], check=True)
            samples[side].append((time.perf_counter() - started) * 1000)
    listed = subprocess.run(
        [sys.executable, "-c", f"{both}; import sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
    )
    return {"samples": samples, "modules": listed.stdout.split()}


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), sys.argv[2])))
