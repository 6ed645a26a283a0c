"""Images made without Docker: they run, and are those that Docker makes."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import docker
import pytest

from covalent_lambda_container.local.stack import LocalStack

SCRIPT = Path(__file__).parent / "ensure_image.py"
_IDENTITY_OF_BYTE_CODE = ".pyc"


def ensure(options: dict[str, Any], repository: str, **environment: str) -> tuple[str, str]:
    """Make the image in a process of its own; return its tag and digest."""
    given = json.dumps(options | {"ecr_repository": repository})
    ended = subprocess.run(
        [sys.executable, SCRIPT, given],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    tag, digest = json.loads(ended.stdout.splitlines()[-1])
    return tag, digest


def without_docker(tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": str(Path(sys.executable).parent),
        "DOCKER_HOST": f"unix://{tmp_path}/absent.sock",
    }


@pytest.mark.parametrize("builder", ["registry", "docker"])
def test_an_image_is_made_where_no_engine_answers(
    builder: str, options: dict[str, Any], root_in_registry: str, tmp_path: Path, cache_dir: str
) -> None:
    given = options | {"base_image": root_in_registry, "builder": builder, "cache_dir": cache_dir}
    _, digest = ensure(given, f"{options['ecr_repository']}", **without_docker(tmp_path))
    assert digest.startswith("sha256:")


SPECS: dict[str, dict[str, Any]] = {
    "native": {"requirements": ["numpy==2.2.6", "markupsafe==3.0.2"]},
    "pure": {"requirements": ["requests==2.32.3", "tqdm==4.67.1"]},
    "local-packages": {"requirements": [], "local_packages": ["ownpkg", "alone.py"]},
    "covalent": {"requirements": [], "covalent_version": metadata.version("covalent")},
}
"""Options of images: with libraries, without, with the user's own code, with Covalent's SDK."""
RARE = ("pure", "covalent")
"""Those with nothing but Python code, of which each image has some."""


@pytest.mark.parametrize(
    "kind",
    ["native", "local-packages", *(pytest.param(kind, marks=pytest.mark.slow) for kind in RARE)],
)
def test_both_ways_make_the_same_image(
    stack: LocalStack,
    aws: Callable[[str], Any],
    options: dict[str, Any],
    root_in_registry: str,
    tmp_path: Path,
    kind: str,
) -> None:
    (tmp_path / "ownpkg").mkdir()
    (tmp_path / "ownpkg" / "__init__.py").write_text("value = 1\n")
    (tmp_path / "ownpkg" / "data.csv").write_text("1,2\n")
    (tmp_path / "alone.py").write_text("value = 2\n")
    spec = dict(SPECS[kind])
    if "local_packages" in spec:
        spec["local_packages"] = [str(tmp_path / name) for name in spec["local_packages"]]
    seen = {}
    for builder in ("docker", "registry"):
        repository = f"same-{builder}"
        given = options | {
            "base_image": root_in_registry,
            "builder": builder,
            "cache_dir": str(tmp_path / builder),
            "profile": stack.owner_profile,
            **spec,
        }
        more = without_docker(tmp_path) if builder == "registry" else {}
        _, digest = ensure(given, repository, **more)
        seen[builder] = contents_of(stack, aws, f"{repository}@{digest}")
    (docker_files, docker_config), (own_files, own_config) = seen["docker"], seen["registry"]
    assert own_config == docker_config
    assert sorted(own_files.keys() ^ docker_files.keys()) == []
    differing = {path for path in own_files if own_files[path] != docker_files[path]}
    # Names the release of the tool that built Covalent's SDK, of which no index has a wheel.
    tool = {path for path in differing if re.search(r"/covalent-[^/]*\.dist-info/WHEEL$", path)}
    assert differing == tool


def contents_of(
    stack: LocalStack, aws: Callable[[str], Any], name: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a container of an image sees: files by path, and configuration."""
    token = aws("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, password = base64.b64decode(token).decode().split(":", 1)
    repository, _, digest = f"{stack.endpoint_url.removeprefix('http://')}/{name}".partition("@")
    with contextlib.closing(docker.from_env()) as client:
        login = {"username": user, "password": password}
        image = client.images.pull(repository, tag=digest, auth_config=login)
        container = client.containers.create(image.id)
        try:
            exported = io.BytesIO(b"".join(container.export()))
        finally:
            container.remove()
            client.images.remove(image.id, force=True)
        config = image.attrs["Config"]
    files = {}
    with tarfile.open(fileobj=exported) as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.isreg() else None
            content = hashlib.sha256(opened.read()).hexdigest() if opened else ""
            # Another build of Python may compile to other bytes.
            if member.name.endswith(_IDENTITY_OF_BYTE_CODE):
                content = ""
            files[member.name] = (
                *(oct(member.mode), member.uid, member.gid, member.type, member.linkname, content),
            )
    names = ("Env", "Entrypoint", "Cmd", "WorkingDir", "User", "Labels")
    settings = {name: config.get(name) for name in names}
    # Sizes of what was compiled elsewhere.
    packages = json.loads(settings["Labels"].pop("covalent-lambda.packages"))
    return files, settings | {"packages": sorted(packages)}
