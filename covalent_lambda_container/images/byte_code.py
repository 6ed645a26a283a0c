"""Byte code and package archives, compiled by the root image's own Python and cached."""

from __future__ import annotations

import hashlib
import itertools
import json
import tempfile
import threading
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
from covalent_lambda_container.files.kept_files import find_kept, keep
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
"""Enough files to be worth starting a process; few enough to share a package among several."""


class PackageCompiler:
    """Compiles Python files in a container of a root image. Threads may share it.

    Parameters
    ----------
    started
        Returns a running container of an image: the same one for each call.
    root
        The image.
    cache
        Folder for package archives and byte code that later builds reuse.
    scratch
        Folder for files of this build only.
    """

    def __init__(
        self, started: Callable[[str], Container], root: RootImage, cache: Path, scratch: Path
    ) -> None:
        self.root = root
        self.scratch = scratch
        self._started = started
        self._cache = cache
        self._rounds = itertools.count(1)
        self._starting = threading.Lock()

    def archives(self, parts: Sequence[DistributionPart], folder: str) -> list[PackageArchive]:
        """Return the archives of parts of distributions; those not in the cache are created.

        Parameters
        ----------
        folder
            Folder of the image that the distributions are installed in.
        """
        store = PackageArchiveStore(
            self._cache / "package-archives", python_build=self.root.build, root=folder
        )
        found = {each: store.find(each) for each in parts}
        missing = [each for each in parts if found[each] is None]
        sources = {each: _sources(each, folder) for each in missing}
        compiled = self._compile([group for group in sources.values() if group])
        for each in missing:
            code = _byte_code(each, self.root.cache_tag)
            inside = {path: f"{folder}/{path}" for path in code}
            made = {path: compiled[key] for path, key in inside.items() if key in compiled}
            found[each] = store.add(each, made, self.scratch)
        return [archive for archive in found.values() if archive is not None]

    def compiled(self, sources: Sequence[Member]) -> dict[str, bytes]:
        """Return the byte code of some files, by path in the image."""
        digest = hashlib.sha256(self.root.build.encode())
        for member in sources:
            digest.update(repr(member).encode())
        folder, key = self._cache / "byte-code", digest.hexdigest()[:32]
        known = find_kept(folder, key)
        if known is None:
            code = {path: part.read() for path, part in self._compile([sources]).items()}
            with tempfile.NamedTemporaryFile("wb", dir=self.scratch, delete=False) as written:
                written.writelines(archive(files(code)))
            known = keep(Path(written.name), folder, key)
        return read_archive(known)

    def _compile(self, groups: Sequence[Sequence[Member]]) -> dict[str, Part]:
        """Compile sources, named by their path in the image.

        The byte code of a group depends on the files of that group only.

        Returns
        -------
        dict
            Byte code by path, ``…/__pycache__/NAME.cpython-311.pyc``; files with syntax that this
            Python does not know have none.
        """
        if not groups:
            return {}
        number = next(self._rounds)
        inside, folder = f"{_FOLDER}/{number}", self.scratch / f"compiled-{number}"
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
        with self._starting:
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


def _sources(part: DistributionPart, folder: str) -> list[Member]:
    """Return the Python files of a part, named by their path in the image."""
    stage = part.distribution.folder
    return [
        Member(name=f"{folder}/{file.path}", content=(stage / file.path,))
        for file in part.files
        if file.path.endswith(".py") and file.content is None and not is_test_module(file.path)
    ]


def is_test_module(path: str) -> bool:
    """Tell whether a path of a distribution is one of its own tests, by pytest's names of them.

    They have no byte code in an image: no task imports them, and the tests of NumPy, pandas and
    SciPy are two thirds of what there is to compile. Whoever imports one gets it from its source.
    """
    *folders, name = path.split("/")
    named_so = name.startswith("test_") or name.endswith("_test.py")
    return named_so and "tests" in folders


def _byte_code(part: DistributionPart, cache_tag: str) -> list[str]:
    """Return the paths of the byte code that a part's Python files may have, sorted."""
    sources = [PurePosixPath(file.path) for file in part.files]
    return sorted(
        f"{path.parent}/__pycache__/{path.stem}.{cache_tag}.pyc".removeprefix("./")
        for path in sources
        if path.suffix == ".py"
    )
