"""Advice on a module missing in an image, from this machine's modules."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from covalent_lambda_container.tasks.missing_modules import advice

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with some files, as pip does."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, version: str, *files: str, origin: str = "") -> None:
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
        if origin:
            (info / "direct_url.json").write_text(f'{{"url": "{origin}"}}')
        for file in files:
            path = tmp_path / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("raise RuntimeError('imported')")

    return install


@pytest.mark.parametrize("module", ["weather", "weather.radar", "weather._fast"])
def test_a_module_of_a_distribution_is_required_by_its_name_and_version(
    install: Install, module: str
) -> None:
    files = ("weather/__init__.py", "weather/radar.py", "weather/_fast.cpython-311-linux.so")
    install("Weather-Forecast", "1.2+cpu", *files)
    assert "ct.DepsPip(['Weather-Forecast==1.2'])" in advice(module)


def test_of_a_namespace_the_right_distribution_is_named(install: Install) -> None:
    install("cloud-storage", "1", "cloudy/storage/__init__.py")
    install("cloud-queue", "2", "cloudy/queue.py")
    assert "'cloud-storage==1'" in advice("cloudy.storage")
    assert "'cloud-queue==2'" in advice("cloudy.queue")


def test_a_module_of_ones_own_is_sent_or_put_into_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ownpkg").mkdir()
    (tmp_path / "ownpkg/__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("ownpkg", "ownpkg.part"):
        text = advice(module)
        assert str(tmp_path / "ownpkg") in text
        assert "local_packages=['ownpkg']" in text
        assert "ct.DepsModule('ownpkg')" in text
    assert "ownpkg" not in sys.modules


@pytest.mark.parametrize("origin", ["file:///home/me/ownpkg", "https://www.example.com/o.whl"])
def test_a_distribution_of_this_machine_is_ones_own(install: Install, origin: str) -> None:
    install("ownpkg", "0.1", "ownpkg/__init__.py", origin=origin)
    assert ("local_packages" in advice("ownpkg")) is origin.startswith("file:")


def test_a_missing_module_of_the_standard_library_is_blamed_on_the_root_image() -> None:
    assert "base_image" in advice("tkinter.ttk")


@pytest.mark.parametrize("module", ["no_such_module_anywhere", "no_such.module"])
def test_unknown_modules_have_no_advice(module: str) -> None:
    assert advice(module) == ""


def test_covalent_is_no_package_to_name() -> None:
    text = advice("covalent._workflow.electron")
    assert "DepsPip" not in text
    assert "refer to it" in text


@pytest.mark.parametrize("module", ["os.\x1b[2J", "", "..", "a/b", "a\0b", "\ud800", "x y", "a-b"])
def test_what_is_no_modules_name_is_nobodys(module: str) -> None:
    assert advice(module) == ""


def test_many_tasks_that_miss_modules_do_not_keep_the_dispatcher_busy() -> None:
    advice("nosuchmodule")
    started = time.thread_time()
    for number in range(50):
        assert advice(f"nosuchmodule{number}") == ""
    assert time.thread_time() - started < 1
