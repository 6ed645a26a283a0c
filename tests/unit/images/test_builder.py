"""From a spec to an image, on an engine that stores contexts and a fake installer."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.cache_folder import SCRATCH, emptying, scratch
from covalent_lambda_container.images.package_layers import LOCK_FILE
from covalent_lambda_container.model.image_labels import contents
from covalent_lambda_container.packages.local_packages import LocalPackage
from covalent_lambda_container.runtime.provenance import MODULES_FILE
from tests.fakes.engine import ROOT, Built, FakeEngine, FakeInstaller, wheel
from tests.unit.images.conftest import (
    BIG,
    NAME,
    SHELF,
    builder,
    layer,
    spec_of,
    stages,
)


def test_files_of_a_killed_process_are_removed_by_a_later_build(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    left, users = tmp_path / f"{SCRATCH}left", tmp_path / "build-of-the-users"
    for folder in (left, users):
        folder.mkdir()
        (folder / "file").touch()
    with scratch(tmp_path) as running:
        builder(engine, installer, tmp_path).build(spec_of("small==1"), NAME)
        assert (left.exists(), running.exists(), users.exists()) == (False, True, True)


def test_the_cache_is_in_use_from_the_first_step_of_a_build_to_the_last(
    engine: FakeEngine,
    installer: FakeInstaller,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Busy(Exception):
        pass

    def wait() -> None:
        raise Busy

    refused: list[str] = []
    make = engine.build

    def build(members: Any, name: str, **given: Any) -> str:
        with pytest.raises(Busy), emptying(tmp_path, wait):
            pass
        refused.append(name)
        return make(members, name, **given)

    monkeypatch.setattr(engine, "build", build)
    builder(engine, installer, tmp_path).build(spec_of("small==1"), NAME)
    assert refused == [built.name for built in engine.builds]
    with emptying(tmp_path, wait):
        pass


def test_byte_code_bears_the_time_of_its_last_use(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(engine, installer, tmp_path).build(spec_of("small==1"), NAME)
    made = list((tmp_path / "byte-code").iterdir())
    yesterday = time.time() - 86400
    for path in made:
        os.utime(path, (yesterday, yesterday))
    builder(engine, installer, tmp_path).build(spec_of("numpy"), NAME)
    assert list((tmp_path / "byte-code").iterdir()) == made
    assert all(path.stat().st_mtime > yesterday + 3600 for path in made)


def test_base_packages_and_runtime_are_built_one_on_the_other(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    spec = spec_of("numpy", "small==1")
    builder(engine, installer, tmp_path).build(spec, NAME)
    base, large, packages, runtime = engine.builds
    assert stages(engine) == [
        "covalent-lambda-base",
        "",
        "covalent-lambda-packages",
        "registry.example.com/covalent-lambda",
    ]
    assert base.arguments == {"ROOT_IMAGE": ROOT}
    assert large.arguments == {"INTERFACE_IMAGE": base.name}
    assert packages.arguments == {"INTERFACE_IMAGE": engine.id_of(large)}
    assert runtime.arguments == {"PACKAGES_IMAGE": packages.name}
    assert runtime.name == NAME
    interface = layer(base, "interface.tar")
    assert interface["usr/local/bin/aws-lambda-rie"] == b"emulator"
    tag = sys.implementation.cache_tag
    assert f"var/runtime/awslambdaric/__pycache__/__init__.{tag}.pyc" in interface
    libraries, others = layer(large, "packages/01.tar"), layer(packages, "packages/02.tar")
    assert set(libraries) == {"var/task/numpy/core.so", "var/task/numpy-2.1.dist-info/METADATA"}
    assert f"var/task/numpy/__pycache__/__init__.{tag}.pyc" in others
    assert "var/task/cloudpickle/__init__.py" in others
    assert others["var/task/bin/small"] == b"#!/usr/bin/env python3\n"
    assert f"var/task/covalent_lambda_runtime/__pycache__/wire.{tag}.pyc" in layer(
        runtime, "runtime.tar"
    )


def test_an_image_records_its_spec_and_its_installed_packages(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spec = spec_of("numpy")
    with caplog.at_level(logging.INFO, "covalent_lambda_container.step_log"):
        builder(engine, installer, tmp_path).build(spec, NAME)
    found = contents(engine.images[NAME].labels)
    assert found is not None
    assert found.spec == json.loads(spec.json)
    assert found.lock == "cloudpickle==3.1.0\nnumpy==2.1\n"
    assert found.packages["numpy==2.1"] > len(BIG)
    others = layer(engine.builds[2], "packages/02.tar")
    assert others[f"var/task/{LOCK_FILE}"] == b"cloudpickle==3.1.0\nnumpy==2.1\n"
    assert json.loads(others[f"var/task/{MODULES_FILE}"]) == {"numpy": ["numpy==2.1"]}
    assert "numpy==2.1" in caplog.text


def test_an_image_of_somebody_else_says_nothing() -> None:
    assert contents({"maintainer": "somebody"}) is None


def test_existing_images_are_not_recreated(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(engine, installer, tmp_path).build(spec_of("numpy"), NAME)
    started, installed = list(engine.containers), list(installer.installed)
    del engine.builds[:]
    builder(engine, installer, tmp_path).build(spec_of("numpy"), NAME)
    assert stages(engine) == ["registry.example.com/covalent-lambda"]
    assert (engine.containers, installer.installed) == (started, installed)


def test_a_changed_runtime_is_the_last_layer_only(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(engine, installer, tmp_path).build(spec_of("numpy"), NAME)
    installed = list(installer.installed)
    del engine.builds[:]
    builder(engine, installer, tmp_path).build(spec_of("numpy", recipe="1" * 64), NAME)
    assert stages(engine) == ["registry.example.com/covalent-lambda"]
    assert installer.installed == installed


def test_an_edit_of_ones_own_code_is_the_last_layer_only(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    def build(content: bytes) -> Built:
        files = (("mypkg/__init__.py", content), ("mypkg/broken.py", b"def"))
        package = LocalPackage(name="mypkg", digest=content.hex(), files=files)
        spec = spec_of("numpy", local_packages=(package,))
        builder(engine, installer, tmp_path).build(spec, NAME)
        found = contents(engine.images[NAME].labels)
        assert found is not None
        assert found.spec["local_packages"] == {"mypkg": content.hex()}
        return engine.builds[-1]

    first = build(b"x = 1\n")
    installed = list(installer.installed)
    del engine.builds[:]
    edited = build(b"x = 2\n")
    assert stages(engine) == ["registry.example.com/covalent-lambda"]
    assert installer.installed == installed
    assert edited.context["runtime.tar"] == first.context["runtime.tar"]
    one, other = layer(first, "local.tar"), layer(edited, "local.tar")
    byte_code = f"var/task/mypkg/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    assert one["var/task/mypkg/__init__.py"] == b"x = 1\n"
    assert one[byte_code] != other[byte_code]
    # What does not compile is an error where it is imported, as anywhere.
    assert other["var/task/mypkg/broken.py"] == b"def"


def test_one_more_package_leaves_the_large_layers_as_they_are(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(engine, installer, tmp_path).build(spec_of("numpy"), NAME)
    first = engine.builds[1:3]
    del engine.builds[:]
    compiled_before = len(engine.containers)
    builder(engine, installer, tmp_path).build(spec_of("numpy", "small==1"), NAME)
    second = engine.builds[:2]
    assert second[0].context["packages/01.tar"] == first[0].context["packages/01.tar"]
    assert second[1].context["packages/02.tar"] != first[1].context["packages/02.tar"]
    assert len(engine.containers) == compiled_before + 1


def test_two_machines_make_the_same_contexts(tmp_path: Path) -> None:
    made = []
    for machine in ("here", "there"):
        engine = FakeEngine()
        builder(engine, FakeInstaller(wheels=dict(SHELF)), tmp_path / machine).build(
            spec_of("numpy", "small==1"), NAME
        )
        made.append([(built.name, built.context, built.labels) for built in engine.builds])
    assert made[0] == made[1]


def test_an_image_that_is_too_large_is_refused_before_it_is_built(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    for number in range(12):
        content = {f"p{number}/data": "x" * (100_000 + number * 10_000)}
        installer.wheels[f"p{number}"] = wheel(f"p{number}", "1", content)
    spec = spec_of(*sorted(f"p{number}" for number in range(12)))
    with pytest.raises(ImageBuildError) as caught:
        builder(engine, installer, tmp_path, max_image_mb=1).build(spec, NAME)
    message = str(caught.value)
    assert "at most 1 MB are allowed" in message
    listed = [line.split()[-1] for line in message.splitlines() if line.startswith("  ")]
    assert listed == [f"p{number}==1" for number in range(11, 1, -1)]
    assert stages(engine) == ["covalent-lambda-base"]
    assert NAME not in engine.images
    assert [
        path.name for path in tmp_path.iterdir() if path.name.startswith("covalent-lambda-build-")
    ] == []


def test_an_image_that_its_commands_made_too_large_is_removed(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    # What commands add is known once they have run.
    spec = spec_of(commands=("x" * 3_000_000,))
    with pytest.raises(ImageBuildError, match="at most 2 MB are allowed"):
        builder(engine, installer, tmp_path, max_image_mb=2).build(spec, NAME)
    assert NAME not in engine.images
    assert not any(name.startswith("covalent-lambda-packages") for name in engine.images)


def test_requirements_that_the_standard_does_not_allow_are_no_error(
    engine: FakeEngine,
    installer: FakeInstaller,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # uv reads what old distributions require, and installs them.
    requires = ["six (>=1.0.*)", "cloudpickle<2"]
    installer.wheels["old==1"] = wheel("old", "1", {"old.py": ""}, requires=requires)
    with caplog.at_level("WARNING"):
        builder(engine, installer, tmp_path).build(spec_of("old==1"), NAME)
    assert NAME in engine.images
    assert "old requires cloudpickle<2; the image has the client's 3.1.0" in caplog.text


def test_a_failed_installation_leaves_nothing(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    with pytest.raises(ImageBuildError, match="x has no wheel for this image, and could"):
        builder(engine, installer, tmp_path).build(spec_of("no-such-package"), NAME)
    assert NAME not in engine.images
    assert engine.running == 0
    assert [
        path.name for path in tmp_path.iterdir() if path.name.startswith("covalent-lambda-build-")
    ] == []


def test_commands_run_once_below_the_packages(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    spec = spec_of("numpy", commands=("apt-get install gcc",))
    builder(engine, installer, tmp_path).build(spec, NAME)
    commanded = ["commands.tar" in built.context for built in engine.builds]
    assert commanded == [False, True, False, False]


def test_layers_of_an_image_that_could_not_be_finished_are_removed(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = engine.build

    def fail(members: Any, name: str, **given: Any) -> str:
        if name.startswith("covalent-lambda-packages:"):
            raise ImageBuildError("no space left on device")
        return make(members, name, **given)

    monkeypatch.setattr(engine, "build", fail)
    builder_ = builder(engine, installer, tmp_path)
    with pytest.raises(ImageBuildError, match="no space"):
        builder_.build(spec_of("numpy"), NAME)
    assert engine.id_of(engine.builds[-1]) not in engine.images
    assert engine.running == 0
