"""Byte code: the same bytes in any environment and regardless of other compiled files."""

from __future__ import annotations

import importlib.util
import json
import marshal
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.images.in_container import compile_sources, describe

# What is known to differ between compilations: shared constants, sets, names that others use.
SOURCES = {
    "pkg/__init__.py": "from . import shared\nNAMES = {'sys', 'path', 'marshal', 'a', 'b', 'c'}\n",
    "pkg/shared.py": "def f(x):\n    return x in {'sys', 'json', 'os', 'pkg', 'shared', ''}\n" * 5,
    "pkg/other.py": "class C:\n    sys = 'sys'\n    path = ('sys', 1.5, b'sys', 'path' * 2)\n",
    "pkg/with.dot.py": "x = 1\n",
    "pkg/broken.py": "print 'of another Python'\n",
    "pkg/encoded.py": "# coding: no-such-encoding\n",
    "pkg/nul.py": "x = 1\0\n",
}


def compiled(
    folder: Path, jobs: list[list[str]], environment: dict[str, str] | None = None
) -> dict[str, bytes]:
    """Compile in a folder of its own; return byte code by path."""
    folder.mkdir(exist_ok=True)
    places, content = {}, b""
    for path, text in SOURCES.items():
        places[path] = [path, len(content), len(text.encode())]
        content += text.encode()
    (folder / "sources").write_bytes(content)
    (folder / "jobs.json").write_text(json.dumps([[places[p] for p in job] for job in jobs]))
    program = folder / "program.py"
    program.write_text(Path(compile_sources.__file__).read_text())
    # Without site-packages, whose paths cannot be read in the locale C if they are not ASCII.
    command = [sys.executable, "-S", str(program), str(folder)]
    subprocess.run(command, check=True, env=os.environ | (environment or {}))
    found = {}
    for index in (folder / "compiled").glob("*.json"):
        made = index.with_suffix("").read_bytes()
        for path, (start, size) in json.loads(index.read_text()).items():
            found[path] = made[start : start + size]
    return found


def test_byte_code_does_not_depend_on_the_run(tmp_path: Path) -> None:
    names = sorted(SOURCES)
    first = compiled(tmp_path / "first", [names])
    environment = {"PYTHONHASHSEED": "77", "PYTHONOPTIMIZE": "2", "LC_ALL": "C", "sys": "path"}
    second = compiled(tmp_path / "a rather different place", [names], environment)
    assert first == second


def test_byte_code_does_not_depend_on_other_jobs(tmp_path: Path) -> None:
    jobs = [[name] for name in sorted(SOURCES)]
    first = compiled(tmp_path / "first", jobs)
    random.Random(7).shuffle(jobs)
    assert first == compiled(tmp_path / "second", [*jobs, sorted(SOURCES)[:1]])


def test_python_finds_the_byte_code_and_never_checks_it(tmp_path: Path) -> None:
    found = compiled(tmp_path, [sorted(SOURCES)])
    expected = {
        f"pkg/__pycache__/{name}.{sys.implementation.cache_tag}.pyc"
        for name in ("__init__", "shared", "other", "with.dot")
    }
    assert set(found) == expected
    for path, content in found.items():
        assert content[:4] == importlib.util.MAGIC_NUMBER
        assert int.from_bytes(content[4:8], "little") == 0b01, "a hash that is not checked"
        code = marshal.loads(content[16:])
        name = Path(path).name.removesuffix(f".{sys.implementation.cache_tag}.pyc")
        assert code.co_filename == f"/pkg/{name}.py"


def test_a_root_describes_itself() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", Path(describe.__file__).read_text()],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found["python"] == "{}.{}".format(*sys.version_info[:2])
    assert sys.version in found["build"]
    assert found["cache_tag"] == sys.implementation.cache_tag
    assert found["has_interface"] is False


def test_another_c_library_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "confstr", lambda _: None)
    assert describe.describe()["glibc"] == ""
