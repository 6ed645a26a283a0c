"""A container engine without one: it keeps contexts instead of images, and runs programs here."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from covalent_lambda_container.errors import ImageBuildError, RegistryError, RequirementsConflict
from covalent_lambda_container.files.archives import Member, Part, archive, unpack
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.engine import (
    CannotRun,
    CommandFailed,
    EngineImage,
    ImageFile,
)
from covalent_lambda_container.ports.installer import WheelsMissing
from covalent_lambda_container.ports.registry import RegistryLogin

ROOT = "registry.example.com/python:3.11"


@dataclass(frozen=True)
class Built:
    """What one build was asked for."""

    name: str
    context: Mapping[str, bytes]
    arguments: Mapping[str, str]
    labels: Mapping[str, str]
    architecture: str
    target: str
    no_cache: bool


@dataclass
class FakeEngine:
    """An engine with one root image, whose Python is this one.

    Attributes
    ----------
    images
        By name.
    registry
        What can be pulled.
    builds
        What was built, in order, failures left out.
    containers
        Containers that were started, by image.
    running
        How many of them are there.
    files
        What there is to read in an image that does not run.
    runs_containers
        Whether it is an engine that runs containers.
    command
        Answers commands that are not `python3 …`; by default they fail.
    """

    images: dict[str, EngineImage] = field(default_factory=dict)
    registry: dict[str, EngineImage] = field(default_factory=dict)
    builds: list[Built] = field(default_factory=list)
    containers: list[str] = field(default_factory=list)
    running: int = 0
    files: dict[str, ImageFile] = field(default_factory=dict)
    runs_containers: bool = True
    pip: Callable[[Path, Sequence[str], Mapping[str, str]], None] | None = None

    def __post_init__(self) -> None:
        self.images[ROOT] = EngineImage(
            id="sha256:root", architecture="x86_64", size=1000, labels={}
        )

    def find(self, name: str) -> EngineImage | None:
        return self.images.get(name)

    def pull(self, name: str, architecture: str) -> EngineImage:
        if name not in self.registry:
            raise ImageBuildError(f"Docker could not pull the root image {name}: not found")
        self.images[name] = self.registry[name]
        return self.images[name]

    def build(
        self,
        members: Iterable[Member],
        name: str,
        *,
        architecture: str,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        target: str = "",
        no_cache: bool = False,
    ) -> str:
        context = {
            member.name: b"".join(
                part if isinstance(part, bytes) else _read(part) for part in member.content
            )
            for member in members
        }
        below = next((self.images[each] for each in arguments.values()), None)
        if below is None:
            raise ImageBuildError(f"Build of {name} failed: no such image")
        built = Built(name, context, arguments, labels, architecture, target, no_cache)
        size = below.size + sum(map(len, context.values()))
        made = EngineImage(
            id=self.id_of(built),
            architecture=architecture,
            size=size,
            labels={**below.labels, **labels},
        )
        self.images[made.id] = made
        if name:
            self.images[name] = made
        self.builds.append(built)
        return made.id

    def id_of(self, built: Built) -> str:
        """Return the ID of what was built."""
        content = sorted(built.arguments.items()), sorted(built.context.items())
        return f"sha256:{hashlib.sha256(repr(content).encode()).hexdigest()}"

    def push(self, name: str, login: RegistryLogin) -> str:
        if name not in self.images:
            raise RegistryError(f"Push of {name} was refused: there is no such image here.")
        return self.images[name].id

    def remove(self, name: str) -> None:
        self.images.pop(name, None)

    def read(self, image: str, architecture: str, paths: Sequence[str]) -> list[ImageFile | None]:
        return [self.files.get(path) for path in paths]

    @contextlib.contextmanager
    def container(
        self, image: str, architecture: str, *, offline: bool = False
    ) -> Iterator[FakeContainer]:
        if not self.runs_containers:
            raise CannotRun("There is no Docker engine.")
        if architecture != "x86_64":
            raise CannotRun(f"The engine cannot run images for {architecture}.")
        self.containers.append(image)
        self.running += 1
        try:
            with tempfile.TemporaryDirectory() as root:
                yield FakeContainer(self, Path(root))
        finally:
            self.running -= 1


class FakeContainer:
    """A folder that stands for a container's file system."""

    def __init__(self, engine: FakeEngine, root: Path) -> None:
        self._engine = engine
        self._root = root

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        redacted: Callable[[str], str] = str,
    ) -> str:
        assert command[0] == "python3" or command[0].endswith("/uv")
        # Paths of the container.
        inside = [re.sub(r"^/(?=tmp/)", f"{self._root}/", part) for part in command[1:]]
        tool = inside[1:] if command[0].endswith("/uv") else inside[2:]
        if tool == inside[1:] or inside[:2] == ["-m", "pip"]:
            if self._engine.pip is None:
                raise CommandFailed("uv ended with status 1.", "error: Failed to build `x==1`")
            self._engine.pip(self._root, tool, environment or {})
            return ""
        ended = subprocess.run(
            [sys.executable, *inside],
            env=os.environ | (environment or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            raise ImageBuildError(ended.stderr)
        return ended.stdout

    def put(self, members: Iterable[Member]) -> None:
        for member in members:
            path = self._root / member.name
            if member.name.endswith("/"):
                path.mkdir(parents=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for part in member.content:
                    file.write(part if isinstance(part, bytes) else _read(part))

    def get(self, path: str, folder: Path) -> None:
        source = self._root / path.removeprefix("/")
        members = [
            Member(name=found.relative_to(source).as_posix(), content=(found,))
            for found in source.rglob("*")
            if found.is_file()
        ]
        packed = b"".join(archive(members))
        with tempfile.TemporaryFile() as stream:
            stream.write(packed)
            stream.seek(0)
            unpack(stream, folder)


def _read(content: Path | Part) -> bytes:
    return content.read() if isinstance(content, Part) else content.read_bytes()


@dataclass
class FakeInstaller:
    """Installs from a shelf: for each requirement line, files by path.

    Attributes
    ----------
    wheels
        Files of distributions, their metadata included, by requirement.
    installed
        The text of each requirements file, in order.
    built
        Wheels that were built from source: requirement, and variables of the build.
    glibc
        The C library that was last asked for.
    conflicts
        Requirements that cannot be installed together.
    """

    wheels: dict[str, dict[str, bytes]] = field(default_factory=dict)
    installed: list[str] = field(default_factory=list)
    built: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    conflicts: set[frozenset[str]] = field(default_factory=set)
    glibc: str = ""

    def install(
        self,
        requirements: Mapping[str, str],
        target: Path,
        scratch: Path,
        *,
        settings: IndexSettings,
        python_version: str,
        architecture: str,
        glibc: str,
        options: Sequence[str] = (),
    ) -> None:
        assert scratch.is_dir()
        self.glibc = glibc
        text = requirements["requirements.txt"]
        lines = [line for line in text.splitlines() if not line.startswith("--")]
        for conflict in self.conflicts:
            if conflict.issubset(lines):
                raise RequirementsConflict(f"{' and '.join(sorted(conflict))} contradict.")
        missing = [line for line in lines if line not in self.wheels]
        if missing:
            raise WheelsMissing("".join(f"Wheels are required for `{each}`" for each in missing))
        self.installed.append(text)
        for line in lines:
            write(target, self.wheels[line])

    def build_wheel(self, requirement: str, folder: Path, *, variables: Any, **_: Any) -> None:
        name, _, version = requirement.partition("==")
        folder.mkdir()
        self.built.append((requirement, dict(variables)))
        made = folder / f"{name}-{version}-py3-none-any.whl"
        with zipfile.ZipFile(made, "w") as opened:
            opened.writestr(
                f"{name}-{version}.dist-info/METADATA",
                f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
            )

    def program(self, scratch: Path, **_: Any) -> Path:
        program = scratch / "uv"
        program.write_bytes(b"\x7fELF")
        return program


def wheel(
    name: str, version: str, files: Mapping[str, str], *, requires: Sequence[str] = (), **extra: Any
) -> dict[str, bytes]:
    """Return what installing a wheel leaves: its files and their list."""
    folder = f"{name.replace('-', '_')}-{version}.dist-info"
    content = {path: text.encode() for path, text in files.items()}
    needs = "".join(f"Requires-Dist: {line}\n" for line in requires)
    content[f"{folder}/METADATA"] = f"Name: {name}\nVersion: {version}\n{needs}".encode()
    content |= {f"{folder}/{path}": text.encode() for path, text in extra.items()}
    rows = [[path, recorded(data), str(len(data))] for path, data in sorted(content.items())]
    record = io.StringIO()
    csv.writer(record, lineterminator="\n").writerows([*rows, [f"{folder}/RECORD", "", ""]])
    content[f"{folder}/RECORD"] = record.getvalue().encode()
    return content


def recorded(data: bytes) -> str:
    """Return a digest as a RECORD has it."""
    import base64

    digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={digest}"


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files below a folder."""
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
