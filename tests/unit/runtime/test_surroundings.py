"""Surroundings: every task finds the same, whatever the one before it did."""

from __future__ import annotations

import logging
import os
import pwd
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.runtime import surroundings, wire
from tests.fakes.examples import value_of

Run = Callable[..., dict[str, Any]]

KEPT: list[Any] = []


def keep_stderr() -> None:
    KEPT.append(sys.stderr)


def print_on_kept() -> None:
    print("from the library", file=KEPT[-1])


def test_environment_directory_and_search_path_are_put_back(run: Run) -> None:
    os.environ["LEFT_ALONE"] = "as it was"
    before = dict(os.environ), Path.cwd(), list(sys.path)

    def change_everything() -> None:
        os.environ["NEW"] = "1"
        os.environ["HOME"] = "/elsewhere"
        del os.environ["LEFT_ALONE"]
        os.chdir("/")
        sys.path.insert(0, "/elsewhere")

    try:
        run(change_everything)
        assert (dict(os.environ), Path.cwd(), sys.path) == before
    finally:
        del os.environ["LEFT_ALONE"]


def test_every_task_starts_in_an_empty_directory_that_is_removed(run: Run) -> None:
    def look() -> tuple[Path, list[Path]]:
        found = list(Path().iterdir())
        Path("left behind").write_text("x")
        return Path.cwd(), found

    places = []
    for _ in range(2):
        place, found = value_of(run(look)["result"]["pickle"])
        assert found == []
        assert place.name.startswith("task-")
        assert not place.exists()
        places.append(place)
    assert places[0] != places[1]


def test_a_task_may_remove_its_own_directory(run: Run) -> None:
    assert run(lambda: Path.cwd().rmdir())["status"] == wire.COMPLETED


def test_folders_that_libraries_write_to_are_there(run: Run) -> None:
    names = ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "NUMBA_CACHE_DIR", "COVALENT_CONFIG_DIR")
    answer = run(lambda: [Path(os.environ[name]).is_dir() for name in names])
    assert value_of(answer["result"]["pickle"]) == [True] * 5


def test_lambda_lets_a_task_write_to_tmp_only() -> None:
    # Read from the source: this process has other folders for the tests.
    source = Path(surroundings.__file__).read_text("utf-8")
    assert '_SCRATCH = "/tmp"\n' in source
    assert re.findall(r'": "(/\w+)/home', source) == ["/tmp"] * 5


def test_the_home_of_the_systems_user_is_replaced(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = pwd.getpwuid(os.getuid()).pw_dir
    monkeypatch.setenv("HOME", own)
    answer = run(lambda: os.environ["HOME"])
    assert value_of(answer["result"]["pickle"]) == surroundings._WRITABLE_DIRECTORIES["HOME"]
    assert os.environ["HOME"] == own


@pytest.mark.parametrize("name", surroundings._WRITABLE_DIRECTORIES)
def test_a_folder_that_the_user_has_set_stays(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "/proc/models")
    answer = run(lambda: os.environ[name])
    assert value_of(answer["result"]["pickle"]) == "/proc/models"


def test_programs_find_the_packages_of_the_image(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAMBDA_TASK_ROOT", "/image")
    monkeypatch.setenv("LAMBDA_RUNTIME_DIR", "/interface")
    monkeypatch.setenv("PYTHONPATH", "/interface:/mine")
    answer = run(lambda: (os.environ["PATH"].split(":")[0], os.environ["PYTHONPATH"]))
    folder = Path(surroundings.__file__).parent / "child_processes"
    assert value_of(answer["result"]["pickle"]) == ("/image/bin", f"{folder}:/mine")


def leave_something() -> None:
    (Path(surroundings._SCRATCH) / "left behind").mkdir()


def test_what_a_task_leaves_in_tmp_stays_while_there_is_room(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 49, 51))
    run(leave_something)
    assert (tmp_path / "left behind").exists()


def test_what_tasks_leave_in_tmp_is_removed_when_room_gets_scarce(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "lambda's own").mkdir()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 51, 49))
    run(leave_something)
    assert not (tmp_path / "left behind").exists()
    assert (tmp_path / "lambda's own").exists()


def test_space_that_nobody_used_does_not_count_as_used(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Some file systems keep a part of themselves back.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 10, 30))
    run(leave_something)
    assert (tmp_path / "left behind").exists()


def test_covalent_does_not_load_its_plugins_in_the_image(run: Run) -> None:
    answer = run(lambda: os.environ["COVALENT_PLUGIN_LOAD"])
    assert value_of(answer["result"]["pickle"]) == "false"


def test_a_stream_that_a_library_keeps_still_works_in_the_next_task(run: Run) -> None:
    run(keep_stderr)
    assert run(print_on_kept)["stderr"] == "from the library\n"


def test_logging_is_captured_and_its_set_up_put_back(run: Run) -> None:
    lambdas_own = logging.NullHandler()
    logging.root.addHandler(lambdas_own)
    handlers, level = list(logging.root.handlers), logging.root.level
    try:

        def log() -> None:
            logging.getLogger("user").warning("careful")
            logging.basicConfig(level=logging.INFO, format="%(message)s")
            logging.getLogger("user").info("detail")

        for _ in range(2):
            assert run(log)["stderr"] == "careful\ndetail\n"
        assert (logging.root.handlers, logging.root.level) == (handlers, level)
    finally:
        logging.root.removeHandler(lambdas_own)
