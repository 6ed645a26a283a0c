"""A machine that makes images without an engine, and what a registry then has."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from covalent_lambda_container.adapters.registry.engine import RegistryEngine
from covalent_lambda_container.adapters.registry.references import parse
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.adapters.registry.root_images import RootImages
from covalent_lambda_container.images.builder import TaskImageBuilder
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.engine import FakeInstaller, wheel
from tests.fakes.examples import image_spec
from tests.fakes.registry_server import FakeRegistryServer

PYTHON = "{}.{}".format(*sys.version_info[:2])
BIG = "x" * 6_000_000
SHELF = {
    "cloudpickle==3.1.0": wheel("cloudpickle", "3.1.0", {"cloudpickle/__init__.py": "a = 1\n"}),
    "small==1": wheel("small", "1", {"small/__init__.py": "", "bin/small": "#!/x/python\n"}),
    "numpy": wheel("numpy", "2.1", {"numpy/__init__.py": "a = 1\n", "numpy/core.so": BIG}),
}
CONFIG = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/usr/bin", "LAMBDA_TASK_ROOT=/other"], "Cmd": ["sh"]},
}


def layer_of(files: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            header = tarfile.TarInfo(name)
            header.size, header.mode = len(content), 0o755
            archive.addfile(header, io.BytesIO(content))
        for name, target in (links or {}).items():
            header = tarfile.TarInfo(name)
            header.type, header.linkname = tarfile.SYMTYPE, target
            archive.addfile(header)
    return out.getvalue()


def root_layers(python: str = PYTHON) -> list[bytes]:
    below = layer_of(
        {
            "usr/bin/python3.1": b"an old one",
            f"usr/bin/python{python}": b"interpreter",
            "lib64/libc.so.6": b"GNU C Library (Debian) stable release version 2.36.\n",
        },
        {"usr/bin/python3": "python3.1"},
    )
    above = layer_of(
        {"usr/bin/.wh.python3.1": b"", "lambda-entrypoint.sh": b"#!/bin/sh\n"},
        {"usr/bin/python3": f"python{python}"},
    )
    return [below, above]


def add_root(server: FakeRegistryServer, tag: str = "root", python: str = PYTHON) -> None:
    layers = root_layers(python)
    digests = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    rootfs = {"type": "layers", "diff_ids": digests}
    server.add_image(
        "roots", tag, [gzip.compress(layer) for layer in layers], CONFIG | {"rootfs": rootfs}
    )


class Dispatcher:
    """A machine that builds: its cache, and how often it waited."""

    def __init__(self, server: FakeRegistryServer, cache: Path) -> None:
        self.server, self.cache = server, cache
        self.waits: list[float] = []
        self.sleep: Callable[[float], object] = self.waits.append
        self.installer = FakeInstaller(wheels=dict(SHELF))
        login = lambda: RegistryLogin(username="AWS", password=server.password)  # noqa: E731

        @functools.cache
        def open_repository(name: str) -> Repository:
            reference = parse(f"{server.endpoint}/{name}:any")
            return Repository(reference, login, sleep=lambda seconds: self.sleep(seconds))

        roots = RootImages(lambda reference: open_repository(reference.repository))
        self.engine = RegistryEngine(roots, lambda: open_repository("tasks"), cache)
        packages = PackageInstaller(self.engine, self.installer, IndexSettings, cache / "wheels")
        self.builder = TaskImageBuilder(self.engine, packages, cache, max_image_mb=10240)

    def spec(self, *requirements: str, **changes: Any) -> ImageSpec:
        root = f"{self.server.endpoint}/roots:root"
        given = {"python_version": PYTHON, "base_image": root, "requirements": requirements}
        return image_spec(**(given | changes))

    def make(self, *requirements: str, tag: str = "tag", **changes: Any) -> str:
        name = f"{self.server.endpoint}/tasks:{tag}"
        self.builder.build(self.spec(*requirements, **changes), name)
        return self.builder.push(name, RegistryLogin(username="AWS", password="unused"))


def manifest_of(server: FakeRegistryServer, tag: str = "tag") -> Any:
    return json.loads(server.repositories["tasks"].manifests[tag][1])


def config_of(server: FakeRegistryServer, tag: str = "tag") -> Any:
    return json.loads(
        server.repositories["tasks"].blobs[manifest_of(server, tag)["config"]["digest"]]
    )


def members(blob: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob))) as archive:
        return archive.getmembers()


def uploaded(server: FakeRegistryServer) -> int:
    return sum(method == "PATCH" for method, _, _ in server.requests)
