"""Builds of packages without wheels."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.root_image import RootImage
from covalent_lambda_container.images.sdk_wheel import required_by
from covalent_lambda_container.model.image_labels import contents
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.logins import Login
from tests.fakes.engine import FakeEngine, FakeInstaller, wheel, write
from tests.unit.images.conftest import (
    NAME,
    PYTHON,
    SHELF,
    builder,
    layer,
    spec_of,
)

ROOT = RootImage(
    id="1",
    architecture="x86_64",
    python=PYTHON,
    build="b",
    glibc="2.36",
    cache_tag="cpython",
    has_interface=True,
)


def pip_installs(files: Mapping[str, bytes], seen: list[Any]) -> Any:
    def pip(root: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        requirements = Path(arguments[arguments.index("--requirements") + 1]).read_text()
        certificates = (root / environment["SSL_CERT_FILE"].lstrip("/")).read_bytes()
        seen.append((arguments[0], requirements, certificates, arguments[-2:]))
        write(Path(arguments[arguments.index("--target") + 1]), files)

    return pip


@pytest.mark.parametrize("requirement", ["only-source", "only-source @ git+https://example.com/a"])
def test_a_package_without_a_wheel_is_built_in_a_container_of_the_images_system(
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


def test_a_package_of_one_index_comes_from_it_in_a_container_too(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    seen: list[Any] = []

    def pip(root: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        (project,) = [each for each in arguments if each.endswith("pyproject.toml")]
        text = Path(project).read_text()
        seen.append((text, environment["UV_INDEX_PACKAGE_INDEX_0_PASSWORD"]))
        built = wheel("only-source", "3", {"only_source.py": ""}) | SHELF["cloudpickle==3.1.0"]
        write(Path(arguments[arguments.index("--target") + 1]), built)

    engine.pip = pip
    login = Login(host="vendor.example.com", username="me", password="hunter2")
    made = PackageInstaller(
        engine, installer, lambda: IndexSettings(logins=(login,)), tmp_path / "wheels"
    )
    spec = spec_of(
        "only-source",
        install_options=("--package-index only-source=https://vendor.example.com/simple",),
    )
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made.install(spec, ROOT, lambda: "system", tmp_path / "target", scratch)
    ((text, password),) = seen
    assert 'url = "https://vendor.example.com/simple"\nexplicit = true\n' in text
    assert password == "hunter2"


def test_what_builds_identifies_itself_as_this_machine_does(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    seen: list[bytes] = []

    def pip(root: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        seen.append((root / environment["SSL_CLIENT_CERT"].lstrip("/")).read_bytes())
        built = wheel("only-source", "3", {"only_source.py": ""}) | SHELF["cloudpickle==3.1.0"]
        write(Path(arguments[arguments.index("--target") + 1]), built)

    engine.pip = pip
    settings = IndexSettings(client_certificate=b"certificate and key")
    made = PackageInstaller(engine, installer, lambda: settings, tmp_path / "wheels")
    spec = spec_of("only-source")
    target = tmp_path / "target"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    made.install(spec, ROOT, lambda: "system", target, scratch)
    assert seen == [b"certificate and key"]
    assert (target / "only_source.py").exists()


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


def test_covalent_of_this_machines_version_is_built_without_an_engine(
    engine: FakeEngine, installer: FakeInstaller, tmp_path: Path
) -> None:
    packages = PackageInstaller(engine, installer, IndexSettings, tmp_path / "wheels")
    engine.runs_containers = False
    here = metadata.version("covalent")

    def install(version: str) -> None:
        sdk = tmp_path / "wheels" / f"covalent-sdk-{version}-{PYTHON}"
        installer.wheels[f"{sdk}/covalent-{version}-py3-none-any.whl"] = {}
        scratch = tmp_path / version
        scratch.mkdir()
        spec = spec_of(covalent_version=version)
        packages.install(spec, ROOT, pytest.fail, scratch / "target", scratch)

    install(here)
    assert installer.built == [(f"covalent=={here}", {"COVALENT_SDK_ONLY": "1"})]
    with pytest.raises(ImageBuildError, match=rf"needs Covalent 0\.1, .* with Covalent {here}"):
        install("0.1")
