"""Compiles Python sources to the same bytes at every run.

usage: compile_sources.py FOLDER

``FOLDER/jobs.json`` holds lists of paths; the sources are below ``FOLDER/sources`` and the results
go below ``FOLDER/compiled``. Inside the code, and in the image later, ``sources`` is the root.

What ``marshal`` writes of a constant depends on how often it is referred to just then, by whatever
the process has compiled and imported before, and the order of a set on the process's hash seed. So
each job is the work of a process of its own, with the same state in every one of them: no
``site``, no inherited environment, a fixed seed, a fixed list of files.

Files that do not compile are left out: some distributions ship those of other Pythons.
"""

from __future__ import annotations

import json
import os
import py_compile
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

# What a dynamically linked Python may need in order to start.
INHERITED = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME")
FIXED = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C"}


def main(folder: str) -> None:
    """Run all jobs, as many at a time as there are processors."""
    with open(os.path.join(folder, "jobs.json"), encoding="utf-8") as file:
        numbers = range(len(json.load(file)))
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    command = [sys.executable, "-s", "-S", "-W", "ignore", __file__, folder]

    def run(number: int) -> None:
        subprocess.run([*command, str(number)], env={**inherited, **FIXED}, check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, numbers))


def compile_job(folder: str, number: int) -> None:
    """Compile the files of one job, in their order."""
    with open(os.path.join(folder, "jobs.json"), encoding="utf-8") as file:
        paths = json.load(file)[number]
    for path in paths:
        source = os.path.join(folder, "sources", path)
        target = os.path.join(folder, "compiled", cached(path))
        try:
            py_compile.compile(
                source,
                target,
                f"/{path}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except (py_compile.PyCompileError, ValueError, RecursionError, MemoryError):
            continue


def cached(path: str) -> str:
    """Return where Python looks for a source's byte code."""
    head, name = os.path.split(path)
    stem = name[: -len(".py")]
    return os.path.join(head, "__pycache__", f"{stem}.{sys.implementation.cache_tag}.pyc")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        compile_job(sys.argv[1], int(sys.argv[2]))
