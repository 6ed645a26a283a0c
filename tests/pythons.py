"""Run the unit tests on each Python of this machine, and on the oldest libraries.

    python tests/pythons.py [VERSION | floors | others] …

Without arguments on all of them; ``others`` are all but the Python that runs this. Each has a
virtual environment of its own, ``.venv-NAME``, which is kept. A Python that the machine lacks is
reported as skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
VERSIONS: Final = ("3.10", "3.11", "3.12", "3.13", "3.14")
OLDEST: Final = VERSIONS[0]
FLOORS: Final = "floors"
"""The lowest versions that pyproject.toml allows, on the oldest Python."""
TOOLS: Final = (
    *("aiohttp", "hypothesis", "mkdocs-material", "pytest", "pytest-xdist", "pyyaml", "trustme"),
)
"""Packages that the unit tests need in addition to this one."""
TIMEOUT_S: Final = 900
"""For the tests of one Python, which take two minutes."""


def interpreters(version: str) -> Iterator[Path]:
    """Yield programs that may be a Python of a version: on the PATH, and pyenv's."""
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)


def works(program: Path, version: str) -> bool:
    """Return whether a program is a Python of a version: pyenv's shims may stand for none."""
    asked = "import sys; print('%d.%d' % sys.version_info[:2])"
    answer = subprocess.run([program, "-c", asked], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == version


def install(name: str, python: Path) -> Path:
    """Return the Python of a virtual environment in which the tests can run."""
    folder = ROOT / f".venv-{name}"
    own = folder / "bin" / "python"
    uv = [sys.executable, "-m", "uv"]
    if not own.exists():
        subprocess.run([*uv, "venv", "--quiet", "--python", python, folder], check=True)
    pip = [*uv, "pip", "install", "--quiet", "--python", own]
    if name == FLOORS:
        lowest = ["--reinstall", "--resolution", "lowest-direct", "--editable", ".[report]"]
        subprocess.run([*pip, *lowest], cwd=ROOT, check=True)
        # The tests' own tools are the newest that go with these.
        subprocess.run([*pip, *TOOLS], cwd=ROOT, check=True)
    else:
        subprocess.run([*pip, "-r", "requirements.lock"], cwd=ROOT, check=True)
        subprocess.run([*pip, "--no-deps", "--editable", "."], cwd=ROOT, check=True)
    return own


def test(name: str) -> str:
    """Run the unit tests in one environment and return what came of it."""
    version = OLDEST if name == FLOORS else name
    python = next((each for each in interpreters(version) if works(each, version)), None)
    if python is None:
        return f"skipped: this machine has no Python {version}"
    started = time.monotonic()
    own = install(name, python)
    command = [own, "-m", "pytest", "-q", "-n", "auto", "tests/unit"]
    try:
        status = subprocess.run(command, cwd=ROOT, check=False, timeout=TIMEOUT_S).returncode
    except subprocess.TimeoutExpired:
        return f"FAILED: it did not end within {TIMEOUT_S} s with {python}"
    seconds = time.monotonic() - started
    return f"{'passed' if status == 0 else 'FAILED'} in {seconds:.0f} s with {python}"


def main(names: list[str]) -> int:
    known = (*VERSIONS, FLOORS)
    if names == ["others"]:
        names = [name for name in known if name != "{}.{}".format(*sys.version_info)]
    results = {}
    for name in names or known:
        print(f"== {name}", flush=True)
        results[name] = test(name)
    print("\nUnit tests")
    for name, result in results.items():
        print(f"  {name:8} {result}")
    return int(any(result.startswith("FAILED") for result in results.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
