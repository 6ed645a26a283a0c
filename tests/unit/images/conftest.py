"""Builds of images with a fake engine and installer."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.images.builder import TaskImageBuilder
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from tests.fakes.engine import ROOT, Built, FakeEngine, FakeInstaller, wheel
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
