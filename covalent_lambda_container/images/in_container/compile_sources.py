"""Compiles Python sources to the same bytes at every run.

usage: compile_sources.py FOLDER

``FOLDER/jobs.json`` holds lists of ``[path, start, length]``: where in the file ``FOLDER/sources``
a source is, and what its path in the image will be. For each list there are two files afterwards,
``FOLDER/compiled/NUMBER`` with byte code and ``FOLDER/compiled/NUMBER.json`` with where it is:
``{path: [start, length]}``. A few large files are faster to carry than thousands of small ones.

What ``marshal`` writes of a constant depends on how often it is referred to just then, by whatever
the process has compiled and imported before, and the order of a set on the process's hash seed. So
each list is the work of a process of its own, with the same state in every one of them: no
``site``, no inherited environment, a fixed seed, a fixed list of files.

Files that do not compile are left out: some distributions ship those of other Pythons.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import MAGIC_NUMBER, source_hash

# What a dynamically linked Python may need in order to start.
INHERITED = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME")
FIXED = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C"}
# PEP 552: the source's hash follows, and is not checked at import.
UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def main(folder: str) -> None:
    """Do all jobs, as many at a time as there are processors."""
    with open(os.path.join(folder, "jobs.json"), encoding="utf-8") as file:
        numbers = range(len(json.load(file)))
    os.mkdir(os.path.join(folder, "compiled"))
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    command = [sys.executable, "-s", "-S", "-W", "ignore", __file__, folder]

    def run(number: int) -> None:
        subprocess.run([*command, str(number)], env={**inherited, **FIXED}, check=True)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, numbers))


def compile_job(folder: str, number: int) -> None:
    """Compile the files of one list, in their order."""
    with open(os.path.join(folder, "jobs.json"), encoding="utf-8") as file:
        job = json.load(file)[number]
    target = os.path.join(folder, "compiled", str(number))
    index = {}
    with open(os.path.join(folder, "sources"), "rb") as sources, open(target, "wb") as made:
        for path, start, length in job:
            sources.seek(start)
            compiled = byte_code(sources.read(length), f"/{path}")
            if compiled is not None:
                index[cached(path)] = [made.tell(), len(compiled)]
                made.write(compiled)
    with open(f"{target}.json", "w", encoding="utf-8") as file:
        json.dump(index, file)


def byte_code(source: bytes, path: str) -> bytes | None:
    """Return the content of a ``.pyc`` file, or None for what is no Python of this version."""
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return MAGIC_NUMBER + UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)


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
