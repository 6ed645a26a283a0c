"""Where an image's own Python is at work for a build: byte code and packs, each made once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from typing import Final

from covalent_lambda_container.archives import Member, files
from covalent_lambda_container.distributions import Distribution
from covalent_lambda_container.packs import Pack, PackStore
from covalent_lambda_container.ports import Container, Engine
from covalent_lambda_container.root import Root

_FOLDER: Final = "tmp/covalent-lambda-build"
_PROGRAM: Final = Path(__file__).parent / "inside" / "compile_sources.py"
_FILES_PER_JOB: Final = 300
"""Enough to be worth a process, and few enough for several processes to share a large package."""


class Workbench:
    """Compiles in one container of a root image, which is started when it is first needed.

    Parameters
    ----------
    engine
        Where it runs.
    root
        The image.
    cache
        Keeps what was made.
    scratch
        Folder for what is needed during one build.
    """

    def __init__(self, engine: Engine, root: Root, cache: Path, scratch: Path) -> None:
        self.root = root
        self.scratch = scratch
        self._engine = engine
        self._cache = cache
        self._container: Container | None = None
        self._cleanup = ExitStack()
        self._rounds = 0

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._cleanup.close()

    def packs(self, distributions: Sequence[Distribution], folder: str) -> list[Pack]:
        """Return the packs of distributions; those that were not made yet are made.

        Parameters
        ----------
        folder
            Where they are in the image.
        """
        store = PackStore(self._cache / "packs", python_build=self.root.build, root=folder)
        found = {each.name: store.find(each) for each in distributions}
        missing = [each for each in distributions if found[each.name] is None]
        if missing:
            compiled = self._compile([_sources(each, folder) for each in missing]) / folder
            for each in missing:
                found[each.name] = store.add(each, self._byte_code(each, compiled), self.scratch)
        return [pack for pack in found.values() if pack is not None]

    def compiled(self, sources: Sequence[Member]) -> dict[str, bytes]:
        """Return the byte code of a few files, by path in the image."""
        digest = hashlib.sha256(self.root.build.encode())
        for member in sources:
            digest.update(repr(member).encode())
        folder = self._cache / "runtime" / digest.hexdigest()[:32]
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            # Another process may be faster.
            with suppress(OSError):
                self._compile([sources]).replace(folder)
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in sorted(folder.rglob("*.pyc"))
        }

    def _compile(self, groups: Sequence[Sequence[Member]]) -> Path:
        """Compile sources, named by their path in the image.

        What a group's files are compiled to depends on that group alone.

        Returns
        -------
        Path
            Folder with what could be compiled: ``…/__pycache__/NAME.cpython-311.pyc``.
        """
        self._rounds += 1
        inside, folder = f"{_FOLDER}/{self._rounds}", self.scratch / f"compiled-{self._rounds}"
        jobs = []
        for group in groups:
            names = sorted(member.name for member in group)
            starts = range(0, len(names), _FILES_PER_JOB)
            jobs += [names[start : start + _FILES_PER_JOB] for start in starts]
        members = [
            Member(name=f"{inside}/sources/{member.name}", content=member.content)
            for group in groups
            for member in group
        ]
        program = {"jobs.json": json.dumps(jobs).encode(), _PROGRAM.name: _PROGRAM.read_bytes()}
        members += files({f"{inside}/{name}": content for name, content in program.items()})
        members.append(Member(name=f"{inside}/compiled/"))
        container = self._started()
        container.put(members)
        container.run(["python3", f"/{inside}/{_PROGRAM.name}", f"/{inside}"])
        container.get(f"/{inside}/compiled/.", folder)
        return folder

    def _byte_code(self, distribution: Distribution, folder: Path) -> dict[str, Path]:
        """Return what a distribution's Python files were compiled to, by path."""
        sources = [PurePosixPath(member.path) for member in distribution.files]
        paths = {
            f"{path.parent}/__pycache__/{path.stem}.{self.root.cache_tag}.pyc".removeprefix("./")
            for path in sources
            if path.suffix == ".py"
        }
        return {path: folder / path for path in sorted(paths) if (folder / path).exists()}

    def _started(self) -> Container:
        if self._container is None:
            self._container = self._cleanup.enter_context(
                self._engine.container(self.root.id, self.root.architecture)
            )
        return self._container


def _sources(distribution: Distribution, folder: str) -> list[Member]:
    """Return a distribution's Python files by their path in the image."""
    return [
        Member(name=f"{folder}/{file.path}", content=(distribution.folder / file.path,))
        for file in distribution.files
        if file.path.endswith(".py") and file.content is None
    ]
