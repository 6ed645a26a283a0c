"""Compiles Python sources to the same bytes in every run.

usage: compile_sources.py FOLDER

``FOLDER/jobs.json`` holds lists of ``[path, start, length]``: a source's path in the image, and its
position in the file ``FOLDER/sources``. Each list results in two files, ``FOLDER/compiled/NUMBER``
with byte code and ``FOLDER/compiled/NUMBER.json`` with the positions in it, ``{path: [start,
length]}``. A few large files are copied faster than thousands of small ones.

The bytes that ``marshal`` writes for a constant depend on its current reference count, and so on
everything that the process has compiled and imported before; the order of a set depends on the hash
seed. So each list is compiled in a separate process that always has the same state: no ``site``, no
inherited environment, a fixed seed, a fixed list of files.

Files that do not compile are skipped: some distributions ship files for other Pythons.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import MAGIC_NUMBER, source_hash

# Variables that a dynamically linked Python may need in order to start.
INHERITED = ("PATH", "LD_LIBRARY_PATH", "PYTHONHOME")
FIXED = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1", "LC_ALL": "C"}
# PEP 552: the source's hash follows, and is not checked at import.
UNCHECKED_HASH = (0b01).to_bytes(4, "little")


def main(folder: str) -> None:
    """Run all jobs, as many at a time as there are processors."""
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
    """Return the content of a ``.pyc`` file, or None if this Python cannot compile the source."""
    try:
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return MAGIC_NUMBER + UNCHECKED_HASH + source_hash(source) + marshal.dumps(code)


def cached(path: str) -> str:
    """Return the path where Python looks for a source's byte code."""
    head, name = os.path.split(path)
    stem = name[: -len(".py")]
    return os.path.join(head, "__pycache__", f"{stem}.{sys.implementation.cache_tag}.pyc")


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(sys.argv[1])
    else:
        compile_job(sys.argv[1], int(sys.argv[2]))
