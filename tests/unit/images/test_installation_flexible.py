"""Versions required by values that contradict the task's own packages."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.root_image import RootImage
from covalent_lambda_container.packages.index_settings import IndexSettings
from tests.fakes.engine import ROOT, FakeEngine, FakeInstaller, wheel
from tests.fakes.examples import image_spec

PYTHON = "{}.{}".format(*sys.version_info[:2])
SHELF = {
    "cloudpickle==3.1.0": wheel("cloudpickle", "3.1.0", {"cloudpickle/__init__.py": ""}),
    "numba==0.58": wheel("numba", "0.58", {"numba/__init__.py": ""}),
    "numpy==2.2": wheel("numpy", "2.2", {"numpy/__init__.py": ""}),
    "numpy": wheel("numpy", "1.26", {"numpy/__init__.py": ""}),
}
BOTH = frozenset({"numba==0.58", "numpy==2.2"})


def install(tmp_path: Path, installer: FakeInstaller, **changes: Any) -> None:
    given = {"requirements": ("numba==0.58", "numpy==2.2"), "flexible": ("numpy==2.2",)}
    usual = {"python_version": PYTHON, "base_image": ROOT}
    spec = image_spec(**(usual | given | changes))
    root = RootImage(
        id=ROOT,
        architecture="x86_64",
        python=PYTHON,
        build="",
        cache_tag="",
        glibc="2.36",
        has_interface=True,
        runs_here=True,
    )
    target, scratch = tmp_path / "target", tmp_path / "scratch"
    scratch.mkdir()
    packages = PackageInstaller(FakeEngine(), installer, IndexSettings, tmp_path / "cache")
    packages.install(spec, root, lambda: ROOT, target, scratch)


def test_they_are_installed_where_they_can_be(tmp_path: Path) -> None:
    installer = FakeInstaller(wheels=SHELF)
    install(tmp_path, installer)
    assert "numpy==2.2\n" in installer.installed[0]


def test_they_are_left_open_where_they_contradict_the_tasks_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    installer = FakeInstaller(wheels=SHELF, conflicts={BOTH})
    install(tmp_path, installer)
    (text,) = installer.installed
    assert "numba==0.58\n" in text
    assert "numpy\n" in text
    assert "not pinned" in caplog.text


def test_the_tasks_own_versions_never_are(tmp_path: Path) -> None:
    installer = FakeInstaller(wheels=SHELF, conflicts={BOTH})
    with pytest.raises(RequirementsConflict):
        install(tmp_path, installer, flexible=())
    assert installer.installed == []


def test_a_conflict_in_every_version_names_the_requested_versions(
    tmp_path: Path,
) -> None:
    either = frozenset({"numba==0.58", "numpy"})
    installer = FakeInstaller(wheels=SHELF, conflicts={BOTH, either})
    with pytest.raises(ImageBuildError, match=r"numpy==2\.2 contradict"):
        install(tmp_path, installer)
