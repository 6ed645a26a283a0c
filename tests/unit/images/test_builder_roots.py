"""Builds on root images: their Python, their processor, and their interface."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from covalent_lambda_container.errors import ImageBuildError, VersionMismatch
from covalent_lambda_container.files.kept_files import keep
from covalent_lambda_container.ports.engine import EngineImage, ImageFile
from tests.fakes.engine import ROOT, FakeEngine, FakeInstaller
from tests.unit.images.conftest import (
    NAME,
    PYTHON,
    builder,
    layer,
    spec_of,
    stages,
)


def test_another_python_is_a_mismatch_before_anything_is_built(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    with pytest.raises(
        VersionMismatch, match=rf"{ROOT} has Python {PYTHON}; the task was pickled by Python 3.9"
    ):
        builder(engine, installer, tmp_path).build(spec_of(python_version="3.9"), NAME)
    assert (engine.builds, installer.installed, engine.running) == ([], [], 0)


def test_another_processor_is_a_mismatch_before_anything_is_built(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    engine.registry[ROOT] = engine.images[ROOT]
    with pytest.raises(VersionMismatch, match="is for x86_64; the functions are to run on arm64"):
        builder(engine, installer, tmp_path).build(spec_of(architecture="arm64"), NAME)
    assert (engine.builds, engine.containers) == ([], [])


def test_a_root_that_does_not_exist_is_pulled(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    engine.registry[ROOT] = engine.images.pop(ROOT)
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    assert ROOT in engine.images


def test_a_root_image_is_examined_once(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    for python_version in ("3.8", "3.9"):
        with pytest.raises(VersionMismatch):
            builder(engine, installer, tmp_path).build(spec_of(python_version=python_version), NAME)
    assert len(engine.containers) == 1


def test_a_root_that_lambda_can_start_gets_no_interface(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(FakeEngine(), installer, tmp_path).build(spec_of(), NAME)
    (kept,) = (tmp_path / "roots").iterdir()
    described = json.loads(kept.read_text()) | {"has_interface": True}
    kept.write_text(json.dumps(described))
    keep(kept, tmp_path / "roots", kept.name.rsplit("-", 2)[0])
    installer.installed.clear()
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    assert layer(engine.builds[0], "interface.tar") == {}
    assert not any("awslambdaric" in text for text in installer.installed)


def test_an_image_of_another_root_has_its_own_base(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    engine.images[ROOT] = EngineImage(id="sha256:moved", architecture="x86_64", size=1, labels={})
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    assert stages(engine).count("covalent-lambda-base") == 2


@pytest.fixture
def arm64(engine: FakeEngine, installer: FakeInstaller) -> FakeEngine:
    """An engine with a root image for arm64, which it does not run."""
    engine.images[ROOT] = EngineImage(id="sha256:arm", architecture="arm64", size=1, labels={})
    glibc = b"\x7fELF GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n"
    engine.files = {
        "/usr/bin/python3": ImageFile(path=f"/usr/bin/python{PYTHON}", content=b""),
        "/lib/aarch64-linux-gnu/libc.so.6": ImageFile(path="/usr/lib/libc.so.6", content=glibc),
    }
    shelf = installer.wheels["aws-sam-cli==1.170.0"]
    arm = {path.replace("x86_64", "arm64"): content for path, content in shelf.items()}
    record = "aws_sam_cli-1.170.0.dist-info/RECORD"
    installer.wheels["aws-sam-cli==1.170.0"] = arm | {record: shelf[record]}
    return engine


def test_an_image_for_another_processor_is_compiled_by_this_machine(
    arm64: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(arm64, installer, tmp_path).build(spec_of("numpy", architecture="arm64"), NAME)
    assert (arm64.containers, installer.glibc) == ([], "2.36")
    assert {built.architecture for built in arm64.builds} == {"arm64"}
    tag = sys.implementation.cache_tag
    numpy = layer(arm64.builds[2], "packages/02.tar")
    assert f"var/task/numpy/__pycache__/__init__.{tag}.pyc" in numpy


def test_another_processor_and_another_python_is_a_mismatch(
    arm64: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    arm64.files["/usr/bin/python3"] = ImageFile(path="/usr/bin/python3.9", content=b"")
    spec = spec_of(architecture="arm64", python_version="3.9")
    with pytest.raises(VersionMismatch, match=r"own Python is not 3.9: (.|\n)*emulator"):
        builder(arm64, installer, tmp_path).build(spec, NAME)
    assert arm64.builds == []


def test_an_image_in_which_there_is_no_python_is_a_mismatch(
    arm64: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    arm64.files.clear()
    with pytest.raises(VersionMismatch, match="has Python no version"):
        builder(arm64, installer, tmp_path).build(spec_of(architecture="arm64"), NAME)


def test_a_package_without_a_wheel_for_another_processor_is_not_built(
    arm64: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    spec = spec_of("only-source", architecture="arm64")
    with pytest.raises(ImageBuildError, match=r"for arm64. Packages without wheels(.|\n)*no wheel"):
        builder(arm64, installer, tmp_path).build(spec, NAME)
    assert NAME not in arm64.images


def test_a_root_for_which_there_is_no_interface(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    del installer.wheels["awslambdaric==4.2.2"]
    with pytest.raises(ImageBuildError, match=r"interface cannot be installed(.|\n)*base_image"):
        builder(engine, installer, tmp_path).build(spec_of(), NAME)


def test_a_source_whose_marker_does_not_hold_is_not_built(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    canonical = 'absent @ git+https://example.com/a ; sys_platform == "win32"'
    installer.wheels[canonical] = {}
    builder(engine, installer, tmp_path).build(spec_of(canonical, "small==1"), NAME)
    assert f"{canonical}\nsmall==1\ncloudpickle==3.1.0\n" in installer.installed
