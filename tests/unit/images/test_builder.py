"""From a spec to an image, on an engine that keeps contexts and an installer with a shelf."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import tarfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError, VersionMismatch
from covalent_lambda_container.files.cache_folder import SCRATCH, emptying, scratch
from covalent_lambda_container.images.builder import TaskImageBuilder
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.package_layers import LOCK_FILE
from covalent_lambda_container.images.root_image import RootImage
from covalent_lambda_container.images.sdk_wheel import required_by
from covalent_lambda_container.model.image_labels import contents
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.local_packages import LocalPackage
from covalent_lambda_container.ports.engine import EngineImage, ImageFile
from covalent_lambda_container.runtime.provenance import MODULES_FILE
from tests.fakes.engine import ROOT, Built, FakeEngine, FakeInstaller, wheel, write
from tests.fakes.examples import image_spec

NAME = "registry.example.com/covalent-lambda:3f2a"
PYTHON = "{}.{}".format(*sys.version_info[:2])
BIG = "x" * 6_000_000
SHELF = {
    "awslambdaric==4.2.2": wheel("awslambdaric", "4.2.2", {"awslambdaric/__init__.py": ""}),
    "aws-sam-cli==1.170.0": wheel(
        "aws-sam-cli", "1.170.0", {"samcli/local/rapid/aws-lambda-rie-x86_64": "emulator"}
    ),
    "cloudpickle==3.1.0": wheel("cloudpickle", "3.1.0", {"cloudpickle/__init__.py": "a = 1\n"}),
    "small==1": wheel("small", "1", {"small/__init__.py": "", "bin/small": "#!/x/python\n"}),
    "numpy": wheel("numpy", "2.1", {"numpy/__init__.py": "a = 1\n", "numpy/core.so": BIG}),
}


def spec_of(*requirements: str, **changes: Any) -> ImageSpec:
    given = {"python_version": PYTHON, "base_image": ROOT, "requirements": requirements}
    return image_spec(**(given | changes))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def installer() -> FakeInstaller:
    return FakeInstaller(wheels=dict(SHELF))


def builder(
    engine: FakeEngine, installer: FakeInstaller, cache: Path, max_image_mb: int = 10240
) -> TaskImageBuilder:
    packages = PackageInstaller(
        engine, installer, lambda: IndexSettings(ca_bundle=b"authorities"), cache / "wheels"
    )
    return TaskImageBuilder(engine, packages, cache, max_image_mb=max_image_mb)


def stages(engine: FakeEngine) -> list[str]:
    return [built.name.partition(":")[0] for built in engine.builds]


def layer(built: Built, name: str) -> dict[str, bytes]:
    """Return the files of one of a context's archives."""
    with tarfile.open(fileobj=io.BytesIO(built.context[name])) as opened:
        files = {member.name: opened.extractfile(member) for member in opened}
        return {name: file.read() for name, file in files.items() if file}


def test_what_a_killed_process_has_left_is_removed_by_a_later_build(
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


def test_an_image_says_what_it_was_made_from_and_what_was_installed(
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


def test_what_was_made_is_not_made_again(
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


def test_a_root_that_is_not_there_is_pulled(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    engine.registry[ROOT] = engine.images.pop(ROOT)
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    assert ROOT in engine.images


def test_a_root_is_asked_once_what_it_is(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    for python_version in ("3.8", "3.9"):
        with pytest.raises(VersionMismatch):
            builder(engine, installer, tmp_path).build(spec_of(python_version=python_version), NAME)
    assert len(engine.containers) == 1


def test_a_root_that_lambda_can_start_gets_no_interface(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    described = {
        "python": PYTHON,
        "build": "aws",
        "cache_tag": sys.implementation.cache_tag,
        "glibc": "2.34",
        "has_interface": True,
    }
    (tmp_path / "roots").mkdir()
    (tmp_path / "roots" / "root.json").write_text(json.dumps(described))
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    assert layer(engine.builds[0], "interface.tar") == {}
    assert not any("awslambdaric" in text for text in installer.installed)


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


def test_a_failed_installation_leaves_nothing(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    with pytest.raises(ImageBuildError, match="ended with status 1"):
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


# -- what there are no wheels of ------------------------------------------------------------------


def pip_installs(files: Mapping[str, bytes], seen: list[Any]) -> Any:
    def pip(root: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        requirements = Path(arguments[arguments.index("--requirements") + 1]).read_text()
        certificates = (root / environment["SSL_CERT_FILE"].lstrip("/")).read_bytes()
        seen.append((arguments[0], requirements, certificates, arguments[-2:]))
        write(Path(arguments[arguments.index("--target") + 1]), files)

    return pip


@pytest.mark.parametrize("requirement", ["only-source", "only-source @ git+https://example.com/a"])
def test_what_has_no_wheel_is_built_in_a_container_of_the_images_system(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path, requirement: str
) -> None:
    seen: list[Any] = []
    built = wheel("only-source", "3", {"only_source.py": ""}) | SHELF["cloudpickle==3.1.0"]
    engine.pip = pip_installs(built, seen)
    spec = spec_of(requirement, commands=("apt-get install gcc",))
    builder(engine, installer, tmp_path).build(spec, NAME)
    built_from_source = ["--no-binary", "only-source"]
    text = f"{requirement}\ncloudpickle==3.1.0\n"
    assert seen == [("install", text, b"authorities", built_from_source)]
    system = engine.builds[1]
    assert (system.target, system.name) == ("system", "")
    assert "var/task/only_source.py" in layer(engine.builds[2], "packages/01.tar")
    assert engine.running == 0


def test_covalent_comes_without_its_server_and_its_cap_on_cloudpickle(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def pip(root: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        seen.append((arguments[0], environment["COVALENT_SDK_ONLY"]))
        folder = Path(arguments[arguments.index("--wheel-dir") + 1])
        folder.mkdir(parents=True)
        made = folder / "covalent-0.240.0-py3-none-any.whl"
        with zipfile.ZipFile(made, "w") as opened:
            opened.writestr(
                "covalent-0.240.0.dist-info/METADATA",
                "Metadata-Version: 2.1\nName: covalent\nVersion: 0.240.0\n"
                "Requires-Dist: small==1\nRequires-Dist: cloudpickle<3\n"
                'Requires-Dist: boto3; extra == "aws"\n',
            )

    engine.pip = pip
    sdk = tmp_path / "wheels" / f"covalent-sdk-0.240.0-{PYTHON}/covalent-0.240.0-py3-none-any.whl"
    installer.wheels[str(sdk)] = wheel("covalent", "0.240.0", {"covalent/__init__.py": ""})
    for name in (NAME, f"{NAME}-2"):
        spec = spec_of("numpy", covalent_version="0.240.0", recipe=name)
        builder(engine, installer, tmp_path).build(spec, name)
    # Once for all images.
    assert seen == [("wheel", "1")]
    assert required_by(sdk) == ["small==1"]
    assert "numpy\ncloudpickle==3.1.0\nsmall==1\n" in installer.installed
    found = contents(engine.images[NAME].labels)
    assert found is not None
    assert found.lock.split() == [
        *("cloudpickle==3.1.0", "covalent==0.240.0", "numpy==2.1", "small==1")
    ]


def test_covalent_is_built_here_without_an_engine_where_it_is_what_runs_here(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    packages = PackageInstaller(engine, installer, IndexSettings, tmp_path / "wheels")
    engine.runs_containers = False
    here = metadata.version("covalent")
    root = RootImage(
        id="1",
        architecture="x86_64",
        python=PYTHON,
        build="b",
        glibc="2.36",
        cache_tag="cpython",
        has_interface=True,
    )

    def install(version: str) -> None:
        sdk = tmp_path / "wheels" / f"covalent-sdk-{version}-{PYTHON}"
        installer.wheels[f"{sdk}/covalent-{version}-py3-none-any.whl"] = {}
        scratch = tmp_path / version
        scratch.mkdir()
        spec = spec_of(covalent_version=version)
        packages.install(spec, root, pytest.fail, scratch / "target", scratch)

    install(here)
    assert installer.built == [(f"covalent=={here}", {"COVALENT_SDK_ONLY": "1"})]
    with pytest.raises(ImageBuildError, match=rf"needs Covalent 0\.1, .* with Covalent {here}"):
        install("0.1")


def test_an_image_of_another_root_has_its_own_base(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    engine.images[ROOT] = EngineImage(id="sha256:moved", architecture="x86_64", size=1, labels={})
    builder(engine, installer, tmp_path).build(spec_of(), NAME)
    assert stages(engine).count("covalent-lambda-base") == 2


# -- another processor ----------------------------------------------------------------------------


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


def test_what_has_no_wheel_for_another_processor_is_not_built(
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
