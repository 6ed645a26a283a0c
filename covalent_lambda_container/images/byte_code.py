"""Where an image's own Python is at work for a build: byte code and packs, each made once."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Final

from covalent_lambda_container.files.archives import (
    Content,
    Member,
    Part,
    archive,
    files,
    read_archive,
)
from covalent_lambda_container.files.cache_folder import mark_used
from covalent_lambda_container.images.host_python import HostPython
from covalent_lambda_container.images.package_archives import (
    DistributionPart,
    PackageArchive,
    PackageArchiveStore,
)
from covalent_lambda_container.images.root_image import RootImage
from covalent_lambda_container.ports.engine import Container

_FOLDER: Final = "tmp/covalent-lambda-build"
_PROGRAM: Final = Path(__file__).parent / "in_container" / "compile_sources.py"
_FILES_PER_JOB: Final = 300
"""Enough to be worth a process, and few enough for several processes to share a large package."""


class PackageCompiler:
    """Compiles in a container of a root image.

    Parameters
    ----------
    started
        Returns a running container of an image, always the same one.
    root
        The image.
    cache
        Keeps what was made.
    scratch
        Folder for what is needed during one build.
    """

    def __init__(
        self, started: Callable[[str], Container], root: RootImage, cache: Path, scratch: Path
    ) -> None:
        self.root = root
        self.scratch = scratch
        self._started = started
        self._cache = cache
        self._rounds = 0

    def packs(self, portions: Sequence[DistributionPart], folder: str) -> list[PackageArchive]:
        """Return the packs of distributions; those that were not made yet are made.

        Parameters
        ----------
        folder
            Where they are in the image.
        """
        store = PackageArchiveStore(
            self._cache / "packs", python_build=self.root.build, root=folder
        )
        found = {each: store.find(each) for each in portions}
        missing = [each for each in portions if found[each] is None]
        sources = {each: _sources(each, folder) for each in missing}
        compiled = self._compile([group for group in sources.values() if group])
        for each in missing:
            code = _byte_code(each, self.root.cache_tag)
            inside = {path: f"{folder}/{path}" for path in code}
            made = {path: compiled[key] for path, key in inside.items() if key in compiled}
            found[each] = store.add(each, made, self.scratch)
        return [pack for pack in found.values() if pack is not None]

    def compiled(self, sources: Sequence[Member]) -> dict[str, bytes]:
        """Return the byte code of a few files, by path in the image."""
        digest = hashlib.sha256(self.root.build.encode())
        for member in sources:
            digest.update(repr(member).encode())
        known = self._cache / "byte-code" / digest.hexdigest()[:32]
        if not known.exists():
            known.parent.mkdir(parents=True, exist_ok=True)
            code = {path: part.read() for path, part in self._compile([sources]).items()}
            # Whole or not at all, for other processes.
            with tempfile.NamedTemporaryFile("wb", dir=known.parent, delete=False) as written:
                written.writelines(archive(files(code)))
            Path(written.name).replace(known)
        mark_used(known)
        return read_archive(known)

    def _compile(self, groups: Sequence[Sequence[Member]]) -> dict[str, Part]:
        """Compile sources, named by their path in the image.

        What a group's files are compiled to depends on that group alone.

        Returns
        -------
        dict
            What could be compiled, by path: ``…/__pycache__/NAME.cpython-311.pyc``.
        """
        if not groups:
            return {}
        self._rounds += 1
        inside, folder = f"{_FOLDER}/{self._rounds}", self.scratch / f"compiled-{self._rounds}"
        jobs: list[list[tuple[str, int, int]]] = []
        sources: list[Content] = []
        start = 0
        for group in groups:
            placed = []
            for member in sorted(group, key=lambda member: member.name):
                placed.append((member.name, start, member.size))
                sources += member.content
                start += member.size
            cuts = range(0, len(placed), _FILES_PER_JOB)
            jobs += [placed[cut : cut + _FILES_PER_JOB] for cut in cuts]
        program = {"jobs.json": json.dumps(jobs).encode(), _PROGRAM.name: _PROGRAM.read_bytes()}
        container = self._container
        container.put(
            [
                *files({f"{inside}/{name}": content for name, content in program.items()}),
                Member(name=f"{inside}/sources", content=tuple(sources)),
            ]
        )
        container.run(["python3", f"/{inside}/{_PROGRAM.name}", f"/{inside}"])
        container.get(f"/{inside}/compiled/.", folder)
        return {
            path: Part(file=index.with_suffix(""), start=start, size=size)
            for index in folder.glob("*.json")
            for path, (start, size) in json.loads(index.read_text("utf-8")).items()
        }

    @cached_property
    def _container(self) -> Container:
        if self.root.runs_here:
            return self._started(self.root.id)
        return HostPython(self.scratch / "container")


def _sources(portion: DistributionPart, folder: str) -> list[Member]:
    """Return Python files by their path in the image."""
    stage = portion.distribution.folder
    return [
        Member(name=f"{folder}/{file.path}", content=(stage / file.path,))
        for file in portion.files
        if file.path.endswith(".py") and file.content is None
    ]


def _byte_code(portion: DistributionPart, cache_tag: str) -> list[str]:
    """Return what Python files may be compiled to, sorted."""
    sources = [PurePosixPath(file.path) for file in portion.files]
    return sorted(
        f"{path.parent}/__pycache__/{path.stem}.{cache_tag}.pyc".removeprefix("./")
        for path in sources
        if path.suffix == ".py"
    )
