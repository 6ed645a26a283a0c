"""Build contexts: the same bytes on every machine, and nothing of the build in the image."""

from __future__ import annotations

import configparser
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import covalent_lambda_container
from covalent_lambda_container.dockerfile import (
    RUNTIME_PACKAGE,
    BuildContext,
    InstallSettings,
    base_context,
    recipe_digest,
    render_dockerfile,
    requirements_text,
    task_context,
)
from covalent_lambda_container.errors import LambdaContainerError
from tests.fakes.examples import image_spec

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = Path(covalent_lambda_container.__file__).parent
FULL = image_spec(
    python_version="3.12",
    architecture="arm64",
    requirements=("name @ https://example.com/name.zip", "scikit-learn==1.5.2"),
    covalent_version="0.240.0",
    commands=("echo one", "echo two\nRUN echo three"),
)
PLAIN = InstallSettings()
WITH_CA = InstallSettings(ca_bundle=b"-----BEGIN CERTIFICATE-----\n")


def golden(name: str) -> str:
    return (GOLDEN / name).read_text("utf-8")


def members(context: BuildContext) -> dict[str, bytes]:
    """Return the files of a context's archive."""
    content = {}
    with tarfile.open(fileobj=io.BytesIO(context.archive)) as archive:
        for member in archive:
            file = archive.extractfile(member)
            assert file is not None
            content[member.name] = file.read()
    return content


def last_stage(dockerfile: str) -> str:
    """Return what makes the image itself, comments left out."""
    lines = [line for line in dockerfile.splitlines() if not line.startswith("#")]
    return re.split(r"^FROM ", "\n".join(lines), flags=re.MULTILINE)[-1]


def test_an_image_without_requirements_says_so() -> None:
    rendered = render_dockerfile(image_spec(requirements=()))
    assert rendered == golden("Dockerfile.no-requirements")


def test_a_dockerfile_names_what_it_was_made_from() -> None:
    assert render_dockerfile(FULL) == golden("Dockerfile.full")


def test_pip_gets_the_requirements_and_the_cloudpickle_of_the_client() -> None:
    assert requirements_text(FULL) == golden("requirements.txt")


def test_a_task_context_has_the_requirements_the_scripts_and_the_whole_runtime() -> None:
    runtime = {path.name: path.read_bytes() for path in (PACKAGE / "runtime").glob("*.py")}
    found = members(task_context(FULL, PLAIN))
    assert found["Dockerfile"] == render_dockerfile(FULL).encode()
    assert found["install/requirements.txt"] == requirements_text(FULL).encode()
    assert "install/install-packages.sh" in found
    assert runtime == {
        Path(name).name: content
        for name, content in found.items()
        if Path(name).parent.name == RUNTIME_PACKAGE
    }


@pytest.mark.parametrize("context", [task_context(FULL, PLAIN), base_context(PLAIN)])
def test_a_context_has_every_file_that_its_dockerfile_copies(context: BuildContext) -> None:
    found = members(context)
    copied = re.findall(r"^COPY (?!--from)(\S+)/ ", found["Dockerfile"].decode(), re.MULTILINE)
    assert {name.split("/")[0] for name in found} == {"Dockerfile", *copied}


@pytest.mark.parametrize("context", [task_context(FULL, WITH_CA), base_context(WITH_CA)])
def test_an_archive_holds_names_and_contents_only(context: BuildContext) -> None:
    with tarfile.open(fileobj=io.BytesIO(context.archive)) as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
    for entry in entries:
        assert (entry.mtime, entry.uid, entry.gid, entry.mode) == (0, 0, 0, 0o644)
        assert (entry.uname, entry.gname) == ("", "")


def test_commands_are_scripts_and_no_part_of_the_dockerfile() -> None:
    found = members(task_context(FULL, PLAIN))
    assert found["commands/001.sh"] == b"echo one\n"
    assert found["commands/002.sh"] == b"echo two\nRUN echo three\n"
    assert b"echo" not in found["Dockerfile"]


@pytest.mark.parametrize("version", ["0.240\nRUN true", "0.240; true", "$(true)", "'"])
def test_a_covalent_version_is_a_version(version: str) -> None:
    with pytest.raises(LambdaContainerError):
        render_dockerfile(image_spec(covalent_version=version))


def test_an_archive_is_the_same_in_another_process(tmp_path: Path) -> None:
    script = (
        "from covalent_lambda_container.dockerfile import *\n"
        "from covalent_lambda_container.spec import ImageSpec\n"
        f"spec = {FULL!r}\n"
        "settings = InstallSettings()\n"
        "print(task_context(spec, settings).identity, base_context(settings).identity,\n"
        "      recipe_digest())\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_ALL": "C"}
    other = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environment,
        umask=0o077,
        capture_output=True,
        text=True,
        check=True,
    )
    here = task_context(FULL, PLAIN).identity, base_context(PLAIN).identity, recipe_digest()
    assert other.stdout.split() == list(here)


def test_the_identity_of_a_context_is_its_content() -> None:
    contexts = [task_context(FULL, PLAIN), task_context(image_spec(), PLAIN), base_context(PLAIN)]
    assert len({context.identity for context in contexts}) == 3


@pytest.mark.parametrize("folder", ["install", "base"])
def test_a_ca_bundle_is_configured_for_pip_and_for_nothing_else(folder: str) -> None:
    plain, with_ca = (
        members(task_context(FULL, settings) if folder == "install" else base_context(settings))
        for settings in (PLAIN, WITH_CA)
    )
    assert with_ca[f"{folder}/ca-bundle.crt"] == WITH_CA.ca_bundle
    pip = configparser.ConfigParser()
    pip.read_string(with_ca[f"{folder}/pip.conf"].decode())
    assert pip["global"]["cert"] == f"/tmp/{folder}/ca-bundle.crt"
    assert b"cert" not in plain[f"{folder}/pip.conf"]
    changed = {name for name in with_ca if with_ca[name] != plain.get(name)}
    assert changed == {f"{folder}/ca-bundle.crt", f"{folder}/pip.conf"}


@pytest.mark.parametrize(
    ("context", "folder"),
    [(task_context(FULL, WITH_CA), "install"), (base_context(WITH_CA), "base")],
)
def test_what_installs_stays_out_of_the_finished_image(context: BuildContext, folder: str) -> None:
    dockerfile = members(context)["Dockerfile"].decode()
    assert f"COPY {folder}/ /tmp/{folder}/" in dockerfile
    assert f"{folder}/" not in last_stage(dockerfile)
    assert "\nRUN" not in last_stage(dockerfile)


def test_every_file_that_makes_an_image_takes_part_in_the_recipe(tmp_path: Path) -> None:
    package = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "local"))
    if not (package / "templates").exists():
        shutil.copytree(PACKAGE.parent / "templates", package / "templates")
        shutil.copy(PACKAGE.parent / "Dockerfile.base", package)
    script = """
import pathlib
from covalent_lambda_container import dockerfile
package = dockerfile._PACKAGE
assert package.parent == pathlib.Path.cwd(), "this is not the copy"
changed = [package / "Dockerfile.base", *package.glob("templates/*"), *package.glob("runtime/*.py")]
seen = {dockerfile.recipe_digest()}
for path in changed:
    path.write_bytes(path.read_bytes() + b"\\n")
    dockerfile.recipe_digest.cache_clear()
    digest = dockerfile.recipe_digest()
    assert digest not in seen, path
    seen.add(digest)
print(len(changed))
"""
    changes = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert changes.returncode == 0, changes.stderr
    assert int(changes.stdout) >= 10
