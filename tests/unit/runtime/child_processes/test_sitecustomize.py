"""The search path of a task and of its child processes: as in a virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from covalent_lambda_container.runtime.child_processes import sitecustomize

FOLDER = Path(sitecustomize.__file__).parent
LIBRARY = "/usr/lib/python3.11"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        # AWS's bootstrap.
        (
            ["/var/task", "/var/runtime", LIBRARY, f"{LIBRARY}/lib-dynload", "/site-packages"],
            [LIBRARY, f"{LIBRARY}/lib-dynload", "/var/task", "/var/runtime", "/site-packages"],
        ),
        ([LIBRARY, "/site-packages"], [LIBRARY, "/var/task", "/var/runtime", "/site-packages"]),
        (["/frozen.zip"], ["/var/task", "/var/runtime", "/frozen.zip"]),
    ],
)
def test_packages_come_after_the_standard_library(path: list[str], expected: list[str]) -> None:
    assert sitecustomize.ordered(path, LIBRARY, ["/var/task", "/var/runtime"]) == expected


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """Packages named like modules of the standard library, and one of another name."""
    for name in ("enum", "typing", "re", "json", "six"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    (tmp_path / "six.py").write_text("")
    return tmp_path


@pytest.mark.parametrize("option", [(), ("-s",)])
def test_a_child_process_has_the_standard_library_first(
    packages: Path, option: tuple[str, ...]
) -> None:
    program = "import sys, json, re, typing, enum, six; print(six.__file__); print(sys.path)"
    ended = subprocess.run(
        [sys.executable, *option, "-c", program],
        env=os.environ | {"PYTHONPATH": str(FOLDER), "LAMBDA_TASK_ROOT": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.stdout.splitlines()[0] == str(packages / "six.py")
    assert str(FOLDER) not in ended.stdout


def test_a_sitecustomize_of_the_root_image_is_imported_as_well(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('of the root image')\n")
    ended = subprocess.run(
        [sys.executable, "-c", "import sitecustomize; print(sitecustomize.__file__)"],
        env=os.environ | {"PYTHONPATH": f"{FOLDER}:{tmp_path}", "LAMBDA_TASK_ROOT": "/var/task"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == ["of the root image", str(tmp_path / "sitecustomize.py")]


def test_the_handler_is_imported_with_the_standard_library_first(packages: Path) -> None:
    # As Lambda's bootstrap does it: the packages first, then the handler by its name. The real one
    # would fork a process that empties this machine's /tmp.
    runtime = packages / "covalent_lambda_runtime"
    runtime.mkdir()
    (runtime / "__init__.py").touch()
    (runtime / "child_processes").symlink_to(FOLDER)
    (runtime / "start.py").symlink_to(FOLDER.parent / "start.py")
    (runtime / "handler.py").write_text("import enum, json, re, typing\nhandle = enum.__file__\n")
    program = (
        f"import sys; sys.path.insert(0, {str(packages)!r})\n"
        "import covalent_lambda_runtime.start as start; print(start.handle)"
    )
    ended = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env=os.environ | {"LAMBDA_TASK_ROOT": str(packages)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert str(packages) not in ended.stdout


PATH_FILES = {
    "one.pth": "folder\nimport one_started\n",
    "one_started.py": "import sys; sys.one = 'started'\n",
    "folder/inside.py": "",
    ".hidden.pth": "import nothing_of_this_name\n",
    "two.pth": "import two_ends\n",
    "two_ends.py": "raise SystemExit('no reason')\n",
    # Namespaces of old releases of setuptools.
    "three-nspkg.pth": "import sys; sys.three = sys._getframe(1).f_locals['sitedir']\n",
}


def test_path_files_of_packages_are_run_in_child_processes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, text in PATH_FILES.items():
        (tmp_path / name).write_text(text)
    program = (
        "import inside, sys; print(sys.one, sys.three); "
        f"print(sys.path.index({str(tmp_path)!r}) < sys.path.index({str(tmp_path / 'folder')!r}))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(FOLDER), "LAMBDA_TASK_ROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stdout.splitlines() == [f"started {tmp_path}", "True"]
    assert ended.stderr == "two.pth raised SystemExit: no reason\n"


def test_an_image_without_packages_has_no_path_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path / "none"))
    before = list(sys.path)
    sitecustomize.run_path_files()
    assert sys.path == before
