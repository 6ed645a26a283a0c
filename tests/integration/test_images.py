"""Images in the engine: their contents, and that builds of different machines are equal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import platform
import sys
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import certifi
import docker
import pytest

from covalent_lambda_container.adapters.docker.containers import CONTAINER_LABEL
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.docker.image_store import DockerImageStore
from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.errors import ImageBuildError, VersionMismatch
from covalent_lambda_container.executor.wiring import image_builder
from covalent_lambda_container.files.archives import archive, files
from covalent_lambda_container.images.dockerfile import recipe_digest
from covalent_lambda_container.images.pruning import Leftover, old_files, old_images, remove
from covalent_lambda_container.model.image_labels import PACKAGES_REPOSITORY, contents, spec_label
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.engine import StoredImage
from tests.fakes.examples import image_spec

PYTHON = ".".join(platform.python_version_tuple()[:2])
PACKAGES = ("markupsafe==3.0.2", "pyyaml==6.0.2", "six==1.17.0")
NAME = "covalent-lambda-tests"
EM_AARCH64 = (183).to_bytes(2, "little")

# Run in an image: what Python makes of the packages.
LOOK = """
import importlib.util, json, pathlib, sys
from importlib import metadata
task = pathlib.Path("/var/task")
sources = [path for path in task.rglob("*.py")]
sys.path.insert(0, str(task))
import markupsafe._speedups, six, yaml
code = [pathlib.Path(importlib.util.cache_from_source(path)) for path in sources]
print(json.dumps({
    "uncompiled": [str(path) for path in code if not path.exists()],
    "checked": [str(path) for path in code if path.exists() and path.read_bytes()[4] != 1],
    "loaded_from": [module.__cached__ for module in (six, yaml)],
    "distributions": {d.metadata["Name"]: d.version for d in metadata.distributions(path=[task])},
    "missing": [str(f) for d in metadata.distributions(path=[task])
                for f in d.files if not f.locate().exists()],
    "lock": (task / "requirements.lock").read_text(),
    "in_tmp": [path.name for path in pathlib.Path("/tmp").iterdir()],
}))
"""


@pytest.fixture(scope="module")
def client(engine: None) -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.from_env()) as opened:
        yield opened


@pytest.fixture
def spec(root_image: str) -> ImageSpec:
    return image_spec(
        python_version=PYTHON,
        base_image=root_image,
        requirements=PACKAGES,
        recipe=recipe_digest(),
    )


@pytest.fixture
def names(client: docker.DockerClient) -> Iterator[list[str]]:
    """Names of images that go with the test."""
    given = [f"{NAME}:{os.getpid()}-{number}" for number in range(3)]
    yield given
    for name in given:
        with contextlib.suppress(docker.errors.ImageNotFound):
            client.images.remove(name)


def run(client: docker.DockerClient, image: str, *command: str) -> str:
    output = client.containers.run(
        image, list(command), entrypoint=[], remove=True, read_only=True, tmpfs={"/tmp": ""}
    )
    return str(output.decode())


def test_two_machines_make_the_same_layers(
    client: docker.DockerClient,
    spec: ImageSpec,
    names: list[str],
    tmp_path: Path,
):
    for name in names[:2]:
        # Nothing is shared: neither what was installed and compiled, nor what Docker remembers.
        builder = image_builder(
            DockerEngine(), read_index_settings, tmp_path / name.replace(":", "-")
        )
        builder.build(spec, name, rebuild=True)
    one, other = (client.images.get(name).attrs["RootFS"]["Layers"] for name in names[:2])
    assert one == other


class OwnImages(DockerImageStore):
    """The engine as if there were nothing but the images of a spec, and what others need."""

    def __init__(self, spec: ImageSpec) -> None:
        super().__init__()
        self._label = spec_label(spec.json)

    def list_images(self) -> list[StoredImage]:
        there = {image.id: image for image in super().list_images()}
        own = {image.id for image in there.values() if self._label.items() <= image.labels.items()}
        seen = dict[str, StoredImage]()
        for image_id in own:
            while (image := there.get(image_id)) and image_id not in seen:
                shared = bool(image.names) and image_id not in own and not _is_packages(image)
                seen[image_id] = replace(image, in_use=image.in_use or shared)
                image_id = "" if shared else image.parent
        return list(seen.values())


def _is_packages(image: StoredImage) -> bool:
    return all(name.startswith(f"{PACKAGES_REPOSITORY}:") for name in image.names)


def test_files_of_earlier_builds_can_be_removed(spec: ImageSpec, tmp_path: Path):
    # A command of its own: nobody else makes images of this spec, or on them.
    spec = replace(spec, requirements=PACKAGES[-1:], commands=(f": {uuid.uuid4()}",))
    engine, name = OwnImages(spec), f"{NAME}:{spec.tag}"
    builder = image_builder(DockerEngine(), read_index_settings, tmp_path)
    builder.build(spec, name)
    # The second takes both names away from the first.
    builder.build(spec, name, rebuild=True)

    def old(keep: timedelta) -> list[Leftover]:
        later = datetime.now(timezone.utc) + timedelta(days=30)
        images = old_images(engine.list_images(), now=later, keep=keep)
        return [*images, *old_files(tmp_path, now=later, keep=keep)]

    assert old(timedelta(days=31)) == []
    what = old(timedelta(days=29))
    images = [each.names[0].partition(":")[0] for each in what if each.kind == "image"]
    # Of the first build, the packages go with the image that was made on them.
    assert sorted(images) == [PACKAGES_REPOSITORY, NAME, "sha256"]
    assert {each.kind for each in what} == {"image", "package archive", "byte code", "wheels"}
    assert remove(what, tmp_path, engine, lambda: old(timedelta(days=29)), print) == what
    assert engine.list_images() == []
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    # Locks, and the description of the root image.
    assert "roots" in {path.parent.name for path in left}
    assert sum(path.stat().st_size for path in left) < 1000


def test_an_image_has_its_packages_compiled_and_a_list_of_them(
    client: docker.DockerClient,
    spec: ImageSpec,
    names: list[str],
    tmp_path: Path,
):
    image_builder(DockerEngine(), read_index_settings, tmp_path).build(spec, names[0])
    found: dict[str, Any] = json.loads(run(client, names[0], "python3", "-c", LOOK))
    assert (found["uncompiled"], found["checked"], found["missing"]) == ([], [], [])
    assert all("/var/task/" in path for path in found["loaded_from"])
    # The packages, and no installer.
    assert {name.lower() for name in found["distributions"]} == {
        *("markupsafe", "pyyaml", "six", "cloudpickle")
    }
    pinned = sorted([*PACKAGES, f"cloudpickle=={spec.cloudpickle_version}"])
    assert found["lock"].split() == pinned
    assert found["in_tmp"] == []
    image = DockerEngine().find(names[0])
    assert image is not None
    said = contents(image.labels)
    assert said is not None
    assert said.lock == found["lock"]
    assert said.spec == json.loads(spec.json)


def test_a_source_build_leaves_nothing_in_the_image(
    client: docker.DockerClient,
    root_image: str,
    names: list[str],
    tmp_path: Path,
):
    spec = image_spec(
        python_version=PYTHON,
        base_image=root_image,
        requirements=("docopt==0.6.2",),
        # Compilers may come from here; what is there is there for the build.
        commands=("touch /opt/compiler",),
        recipe=recipe_digest(),
    )
    image_builder(DockerEngine(), read_index_settings, tmp_path).build(spec, names[0])
    script = "import sys; sys.path.insert(0, '/var/task'); import docopt; print(docopt.__version__)"
    assert run(client, names[0], "python3", "-c", script) == "0.6.2\n"
    listed = run(client, names[0], "ls", "-A", "/tmp", "/root", "/opt", "/var/task").split()
    assert "compiler" in listed
    assert not {"covalent-lambda-install", "setuptools", "wheel", ".cache"} & set(listed)
    ours = {"label": f"{CONTAINER_LABEL}={os.getpid()}"}
    assert client.containers.list(all=True, filters=ours) == []


def test_commands_trust_the_authorities_and_late_ones_find_the_packages(
    client: docker.DockerClient, root_image: str, names: list[str], tmp_path: Path
):
    usual = read_index_settings()
    bundle = usual.ca_bundle or Path(certifi.where()).read_bytes()
    settings = replace(usual, ca_bundle=bundle + b"# of this build\n")
    spec = image_spec(
        python_version=PYTHON,
        base_image=root_image,
        # The standard library's enum goes before the one of this package.
        requirements=("enum34==1.1.10", "six==1.17.0"),
        commands=("tail -n 1 $SSL_CERT_FILE > /opt/first; ls /var/task > /opt/packages",),
        late_commands=(
            "tail -n 1 $REQUESTS_CA_BUNDLE > /opt/second",
            "python3 -c 'import enum, six; enum.StrEnum; print(six.__version__)' > /opt/third",
        ),
        recipe=recipe_digest(),
    )
    image_builder(DockerEngine(), lambda: settings, tmp_path).build(spec, names[0])
    assert run(client, names[0], "cat", "/opt/packages", "/opt/first", "/opt/second") == (
        "# of this build\n# of this build\n"
    )
    assert run(client, names[0], "cat", "/opt/third") == "1.17.0\n"
    assert "ca-bundle.crt" not in run(client, names[0], "ls", "/opt/covalent-lambda")


def test_a_command_that_fails_is_named(root_image: str, names: list[str], tmp_path: Path):
    spec = image_spec(
        python_version=PYTHON,
        base_image=root_image,
        requirements=("six==1.17.0",),
        commands=("true", "python3 -m six"),
        recipe=recipe_digest(),
    )
    with pytest.raises(ImageBuildError) as caught:
        image_builder(DockerEngine(), read_index_settings, tmp_path).build(spec, names[0])
    assert caught.value.message.startswith(
        "DepsBash: the command 'python3 -m six' ended with status 1.\n"
    )
    assert "bash_deps='after_packages'" in str(caught.value)


def test_a_package_that_nobody_has_says_so(
    spec: ImageSpec, root_image: str, names: list[str], tmp_path: Path
):
    absent = image_spec(
        python_version=PYTHON,
        base_image=root_image,
        requirements=("covalent-lambda-no-such-package==9.9",),
        recipe=recipe_digest(),
    )
    said = "there is no package covalent-lambda-no-such-package on"
    with pytest.raises(ImageBuildError, match=said):
        image_builder(DockerEngine(), read_index_settings, tmp_path).build(absent, names[0])
    assert DockerEngine().find(names[0]) is None


@pytest.mark.parametrize(("offline", "interfaces"), [(True, ["lo"]), (False, ["lo", "eth0"])])
def test_an_offline_container_has_no_network(
    root_image: str, offline: bool, interfaces: list[str]
) -> None:
    names = "import json, socket; print(json.dumps([name for _, name in socket.if_nameindex()]))"
    with DockerEngine().container(root_image, "x86_64", offline=offline) as container:
        assert json.loads(container.run(["python3", "-c", names])) == interfaces


def test_an_image_that_is_too_large_is_not_even_built(
    spec: ImageSpec, names: list[str], tmp_path: Path
):
    builder = image_builder(DockerEngine(), read_index_settings, tmp_path, max_image_mb=100)
    with pytest.raises(ImageBuildError) as caught:
        builder.build(spec, names[0], rebuild=True)
    message = str(caught.value)
    assert "at most 100 MB are allowed" in message
    assert message.index("pyyaml==6.0.2") < message.index("six==1.17.0")
    assert DockerEngine().find(names[0]) is None


def test_another_python_is_refused_before_anything_is_built(
    root_image: str, names: list[str], tmp_path: Path
):
    spec = image_spec(python_version="3.9", base_image=root_image, recipe=recipe_digest())
    with pytest.raises(VersionMismatch, match=rf"has Python {PYTHON}; the task was pickled by"):
        image_builder(DockerEngine(), read_index_settings, tmp_path).build(spec, names[0])
    assert not (tmp_path / "uv").exists()


# -- another processor ----------------------------------------------------------------------------


def any_index() -> IndexSettings:
    """An index with wheels for all processors: this machine's further ones may have fewer."""
    return replace(read_index_settings(), extra_index_urls=(), find_links=(), variables=())


@pytest.fixture
def arm64_root(client: docker.DockerClient) -> Iterator[str]:
    """A root image for arm64, as far as it can be looked at: it need not run."""
    name = f"{NAME}-arm64:{os.getpid()}"
    libc = b"\x7fELF GNU C Library (Debian GLIBC 2.36-9) stable release version 2.36.\n"
    members = files(
        {
            f"usr/bin/python{PYTHON}": b"\x7fELF",
            "usr/lib/aarch64-linux-gnu/libc.so.6": libc,
        }
    )
    dockerfile = "FROM scratch\nADD root.tar /\n"
    with io.BytesIO(b"".join(archive(members, folders=True))) as packed:
        with tarfile.open(fileobj=packed, mode="a") as opened:
            for link, target in (("usr/bin/python3", f"python{PYTHON}"), ("lib", "usr/lib")):
                entry = tarfile.TarInfo(link)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                opened.addfile(entry)
        context = files({"Dockerfile": dockerfile.encode(), "root.tar": packed.getvalue()})
    DockerEngine().build(context, name, architecture="arm64", arguments={}, labels={})
    yield name
    client.images.remove(name, force=True)


def test_an_image_for_another_processor(
    client: docker.DockerClient,
    arm64_root: str,
    names: list[str],
    tmp_path: Path,
):
    spec = image_spec(
        python_version=PYTHON,
        base_image=arm64_root,
        architecture="arm64",
        requirements=PACKAGES,
        recipe=recipe_digest(),
    )
    image_builder(DockerEngine(), any_index, tmp_path).build(spec, names[0])
    assert client.images.get(names[0]).attrs["Architecture"] == "arm64"
    folder = (
        f"/var/task/markupsafe/_speedups.cpython-{PYTHON.replace('.', '')}-aarch64-linux-gnu.so"
    )
    paths = [folder, "/usr/local/bin/aws-lambda-rie", "/var/task/six.py"]
    paths.append(f"/var/task/__pycache__/six.{sys.implementation.cache_tag}.pyc")
    found = DockerEngine().read(names[0], "arm64", paths)
    assert all(found)
    for elf in filter(None, found[:2]):
        assert (elf.content[:4], elf.content[18:20]) == (b"\x7fELF", EM_AARCH64)


def test_a_missing_wheel_for_another_processor_is_reported(
    arm64_root: str, names: list[str], tmp_path: Path
):
    spec = image_spec(
        python_version=PYTHON,
        base_image=arm64_root,
        architecture="arm64",
        requirements=("docopt==0.6.2",),
        recipe=recipe_digest(),
    )
    with pytest.raises(ImageBuildError, match=r"cannot run images for arm64(.|\n)*emulator"):
        image_builder(DockerEngine(), any_index, tmp_path).build(spec, names[0])
    assert DockerEngine().find(names[0]) is None
