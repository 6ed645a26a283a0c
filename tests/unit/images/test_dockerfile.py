"""Build contexts: the same bytes on every machine, and no traces of the build in the image."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import covalent_lambda_container
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.files.archives import Member, archive
from covalent_lambda_container.images.dockerfile import (
    RUNTIME_PACKAGE,
    interface_context,
    local_sources,
    packages_context,
    packages_key,
    render_dockerfile,
    requirements_files,
    runtime_context,
    runtime_sources,
)
from covalent_lambda_container.images.package_archives import Layer, PackageArchive
from covalent_lambda_container.packages.local_packages import LocalPackage
from tests.fakes.examples import image_spec

GOLDEN = Path(__file__).parent / "golden"
PACKAGE = Path(covalent_lambda_container.__file__).parent
FULL = image_spec(
    python_version="3.12",
    architecture="arm64",
    requirements=("name @ https://example.com/name.zip", "scikit-learn==1.5.2"),
    covalent_version="0.240.0",
    commands=("echo one", "echo two\nRUN echo three"),
    late_commands=("python3 -m one",),
)


def golden(name: str) -> str:
    return (GOLDEN / name).read_text("utf-8")


def package_archive(requirement: str, file: Path = Path("/nowhere")) -> PackageArchive:
    return PackageArchive(requirement=requirement, file=file, size=1)


def members(context: Sequence[Member]) -> dict[str, bytes]:
    """Return the files of a context, those of archives in it by ``NAME.tar/PATH``."""
    return contents(b"".join(archive(context)))


def contents(packed: bytes, prefix: str = "") -> dict[str, bytes]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as opened:
        for member in opened:
            file = opened.extractfile(member)
            if file is not None:
                content = file.read()
                found[prefix + member.name] = content
                if member.name.endswith(".tar"):
                    found |= contents(content, f"{prefix}{member.name}/")
    return found


def test_an_image_without_requirements_says_so() -> None:
    rendered = render_dockerfile(image_spec(requirements=()))
    assert rendered == golden("Dockerfile.no-requirements")


def test_a_dockerfile_names_its_sources_and_the_contents_of_its_layers() -> None:
    layers = [
        Layer(name="01.tar", archives=(package_archive("scipy==1.14.1"),)),
        Layer(
            name="02.tar",
            archives=(
                package_archive("joblib==1.4.2"),
                package_archive("threadpoolctl==3.5.0"),
                package_archive(""),
            ),
        ),
    ]
    assert render_dockerfile(FULL, layers) == golden("Dockerfile.full")


def test_the_installer_gets_the_requirements_and_the_cloudpickle_of_the_client() -> None:
    assert requirements_files(FULL)[0]["requirements.txt"] == golden("requirements.txt")


def test_packages_with_hashes_are_installed_first_and_kept() -> None:
    hashed = f"foo[x]==1.0 --hash=sha256:{'0a' * 32}"
    spec = image_spec(
        requirements=(hashed, "numpy==2.1"),
        constraints=("scipy<2",),
        install_options=("--index-url https://pypi.example.com/simple", "--only-binary :all:"),
    )
    head = "--only-binary :all:\n--constraint constraints.txt\n"
    assert render_dockerfile(spec).splitlines()[2:7] == [
        "#   foo[x]==1.0",
        "#   numpy==2.1",
        "#   --constraint scipy<2",
        "#   --index-url https://pypi.example.com/simple",
        "#   --only-binary :all:",
    ]
    assert requirements_files(spec, ["attrs"]) == [
        {"requirements.txt": f"{head}{hashed}\n", "constraints.txt": "scipy<2\n"},
        {
            "requirements.txt": f"{head}numpy==2.1\ncloudpickle==3.1.0\nattrs\n",
            "overrides.txt": "cloudpickle==3.1.0\n",
            "constraints.txt": "scipy<2\nfoo==1.0\n",
        },
    ]


def test_the_clients_cloudpickle_wins_over_that_of_the_requirements() -> None:
    hashed = f"cloudpickle==2.0.0 --hash=sha256:{'0a' * 32}"
    for requirements in (("cloudpickle==2.0.0", "six"), ("cloudpickle<3", "six")):
        spec = image_spec(requirements=requirements, constraints=("cloudpickle<3",))
        assert requirements_files(spec) == [
            {
                "requirements.txt": "six\ncloudpickle==3.1.0\n",
                "overrides.txt": "cloudpickle==3.1.0\n",
            }
        ]
    first, second = requirements_files(image_spec(requirements=(hashed,)))
    assert first == {"requirements.txt": f"{hashed}\n"}
    assert second["requirements.txt"] == "cloudpickle==3.1.0\n"


def test_a_context_of_packages_has_its_layers_and_commands(tmp_path: Path) -> None:
    packed = tmp_path / "one"
    packed.write_bytes(b"")
    layer = Layer(
        name="01.tar",
        archives=(package_archive("one==1", packed), package_archive("one==1", packed)),
    )
    found = members(packages_context(FULL, [layer]))
    assert found["Dockerfile"].decode() == render_dockerfile(FULL, [layer])
    assert found["packages/01.tar"] == bytes(1024)
    folder = "commands.tar/opt/covalent-lambda"
    assert found[f"{folder}/commands/before-001.sh"] == b"echo one\n"
    assert found[f"{folder}/commands/before-002.sh"] == b"echo two\nRUN echo three\n"
    assert b"echo" not in found["Dockerfile"]
    late = "late-commands.tar/opt/covalent-lambda"
    assert found[f"{late}/commands/after-001.sh"] == b"python3 -m one\n"
    assert f"{late}/search-path/sitecustomize.py" in found
    assert f"{folder}/search-path/sitecustomize.py" not in found
    assert not any(name.endswith("ca-bundle.crt") for name in found)


def test_commands_get_the_authorities_that_installers_trust() -> None:
    found = members(packages_context(FULL, (), b"PEM"))
    for archived in ("commands.tar", "late-commands.tar"):
        assert found[f"{archived}/opt/covalent-lambda/ca-bundle.crt"] == b"PEM"
    plain = members(packages_context(image_spec(), (), b"PEM"))
    assert [*plain] == ["Dockerfile"]


def test_a_runtime_context_has_every_module_of_the_runtime() -> None:
    runtime = {path.name: path.read_bytes() for path in (PACKAGE / "runtime").glob("*.py")}
    found = members(runtime_context(runtime_sources()))
    assert runtime == {
        Path(name).name: content
        for name, content in found.items()
        if Path(name).parent.name == RUNTIME_PACKAGE
    }


def test_code_of_the_users_own_has_an_archive_of_its_own_above_the_runtime() -> None:
    package = LocalPackage(name="mypkg", digest="", files=(("mypkg/__init__.py", b"x = 1"),))
    with_it = members(runtime_context(runtime_sources(), local_sources([package])))
    without = members(runtime_context(runtime_sources()))
    assert with_it["local.tar/var/task/mypkg/__init__.py"] == b"x = 1"
    assert with_it["runtime.tar"] == without["runtime.tar"]
    assert b"ADD runtime.tar /\nADD local.tar /\n" in with_it["Dockerfile"]
    assert b"local" not in without["Dockerfile"]


def test_a_base_has_the_interface_where_the_root_has_none(tmp_path: Path) -> None:
    packed, emulator = tmp_path / "client", tmp_path / "rie"
    packed.write_bytes(b"")
    emulator.write_bytes(b"\x7fELF")
    layer = Layer(name="interface.tar", archives=(package_archive("awslambdaric==4", packed),))
    with_interface = members(interface_context(layer, emulator))
    assert with_interface["interface.tar/usr/local/bin/aws-lambda-rie"] == b"\x7fELF"
    assert "interface.tar/lambda-entrypoint.sh" in with_interface
    assert set(members(interface_context(None, None))) == {"Dockerfile", "interface.tar"}


@pytest.mark.parametrize(
    "context",
    [packages_context(FULL, ()), interface_context(None, None), runtime_context(runtime_sources())],
)
def test_a_context_has_every_file_that_its_dockerfile_adds(context: list[Member]) -> None:
    added = re.findall(
        r"^(?:ADD|COPY) (\S+) /$", members(context)["Dockerfile"].decode(), re.MULTILINE
    )
    assert {member.name for member in context} == {"Dockerfile", *added}


@pytest.mark.parametrize(
    "context",
    [packages_context(FULL, ()), interface_context(None, None), runtime_context(runtime_sources())],
)
def test_an_archive_holds_names_and_contents_only(context: list[Member]) -> None:
    packed = [b"".join(archive(context))]
    packed += [content for name, content in members(context).items() if name.endswith(".tar")]
    for content in packed:
        with tarfile.open(fileobj=io.BytesIO(content)) as opened:
            entries = opened.getmembers()
        assert [entry.name for entry in entries] == sorted(entry.name for entry in entries)
        for entry in entries:
            assert (entry.mtime, entry.uid, entry.gid) == (0, 0, 0)
            assert (entry.uname, entry.gname) == ("", "")
            assert entry.mode == (0o755 if entry.isdir() else 0o644)


@pytest.mark.parametrize("version", ["0.240\nRUN true", "0.240; true", "$(true)", "'"])
def test_a_covalent_version_is_a_version(version: str) -> None:
    with pytest.raises(LambdaContainerError):
        render_dockerfile(image_spec(covalent_version=version))


def test_a_context_is_the_same_in_another_process(tmp_path: Path) -> None:
    script = (
        "import hashlib\n"
        "from covalent_lambda_container.files.archives import archive\n"
        "from covalent_lambda_container.images.dockerfile import *\n"
        "from covalent_lambda_container.model.specs import ImageSpec\n"
        f"spec = {FULL!r}\n"
        "last = runtime_context(runtime_sources())\n"
        "for context in packages_context(spec, ()), interface_context(None, None), last:\n"
        "    print(hashlib.sha256(b''.join(archive(context))).hexdigest())\n"
        "print(recipe_digest(), packages_key(spec, 'base'))\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Kathmandu", "LC_COLLATE": "C"}
    here, there = (
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=given,
            umask=umask,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for given, umask in ((dict(os.environ), 0o022), (environment, 0o077))
    )
    assert len(here.split()) == 5
    assert here == there


def test_packages_are_known_again_when_only_the_runtime_has_changed() -> None:
    own = (LocalPackage(name="mypkg", digest="1" * 64, files=()),)
    for change in ({"recipe": "1" * 64}, {"local_packages": own}):
        assert packages_key(FULL, "base") == packages_key(replace(FULL, **change), "base")
    assert packages_key(FULL, "base") != packages_key(FULL, "another base")
    assert packages_key(FULL, "base") != packages_key(replace(FULL, commands=()), "base")


def test_nothing_runs_after_the_packages_are_there_unless_it_is_asked_for() -> None:
    usual = replace(FULL, late_commands=())
    for context in (packages_context(usual, ()), runtime_context(runtime_sources())):
        dockerfile = members(context)["Dockerfile"].decode()
        assert "\nRUN" not in re.split(r"^FROM ", dockerfile, flags=re.MULTILINE)[-1]


def test_every_file_that_makes_an_image_takes_part_in_the_recipe(tmp_path: Path) -> None:
    package = tmp_path / PACKAGE.name
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__", "local"))
    if not (package / "templates").exists():
        shutil.copytree(PACKAGE.parent / "templates", package / "templates")
        shutil.copy(PACKAGE.parent / "Dockerfile.base", package)
    script = """
import pathlib
from covalent_lambda_container.images import dockerfile
package = dockerfile._PACKAGE
assert package.parent == pathlib.Path.cwd(), "this is not the copy"
changed = [package / "Dockerfile.base", *package.glob("templates/*.*")]
changed += package.glob("runtime/**/*.py")
changed.append(package / "images" / "in_container" / "compile_sources.py")
memories = dockerfile.interface_recipe, dockerfile.packages_recipe, dockerfile.recipe_digest
memories += (dockerfile._environment,)
seen = {dockerfile.recipe_digest()}
for path in changed:
    path.write_bytes(path.read_bytes() + b"\\n")
    for memory in memories:
        memory.cache_clear()
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
