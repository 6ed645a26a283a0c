"""The built wheel by itself: it contains everything that images are built from."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

RENDER = """
from covalent_lambda_container.files.archives import archive
from covalent_lambda_container.images.dockerfile import interface_context, packages_context
from covalent_lambda_container.images.dockerfile import recipe_digest, render_dockerfile
from covalent_lambda_container.images.dockerfile import runtime_context, runtime_sources
from covalent_lambda_container.model.specs import ImageSpec

spec = ImageSpec(python_version="3.11", architecture="x86_64", base_image="root.example.com/python",
                 requirements=("numpy==2.1.0",), cloudpickle_version="3.1.0",
                 recipe=recipe_digest())
last = runtime_context(runtime_sources())
for context in interface_context(None, None), packages_context(spec, ()), last:
    assert b"".join(archive(context))
print(render_dockerfile(spec))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_contains_the_sources_of_images(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    package = "covalent_lambda_container"
    expected = {
        f"{package}/templates/{path.name}"
        for path in (ROOT / "templates").iterdir()
        if path.is_file()
    }
    expected |= {
        f"{package}/templates/standalone/{path.name}"
        for path in (ROOT / "templates" / "standalone").iterdir()
    }
    expected |= {
        f"{package}/{folder}/{path.name}"
        for folder in ("runtime", "images/in_container")
        for path in (ROOT / package / folder).glob("*.py")
    }
    assert expected | {f"{package}/Dockerfile.base"} <= names
    assert not [name for name in names if name.startswith(("tests", "examples"))]


def test_a_dockerfile_is_rendered_in_a_clean_environment(wheel: Path, tmp_path: Path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", wheel], check=True)
    # What rendering needs, and nothing more of the dependencies.
    subprocess.run([*pip, "isal", "jinja2", "packaging"], check=True)
    rendered = subprocess.run(
        [python, "-I", "-c", RENDER], check=True, capture_output=True, text=True, cwd=tmp_path
    ).stdout
    assert "#   numpy==2.1.0\n" in rendered
    assert "FROM ${INTERFACE_IMAGE} AS system\n" in rendered


def test_covalent_knows_the_plugin_by_name():
    check = (
        "from covalent.executor import AWSLambdaContainerExecutor, _executor_manager;"
        "named = _executor_manager.get_executor('awslambda_container');"
        "assert type(named) is AWSLambdaContainerExecutor"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
