"""Distributions as parts of image layers: archives on disk, made once and the same everywhere."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from covalent_lambda_container.files.archives import Content, Member, body
from covalent_lambda_container.files.cache_folder import mark_used
from covalent_lambda_container.images.distributions import Distribution, InstalledFile

FORMAT: Final = 2
"""Number of the way in which packs are made; another one where their bytes change."""

_CHUNK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 5_000_000
_MAX_LARGE: Final = 60
"""Docker allows 127 layers in an image, those of the root and of DepsBash included."""


class PartKind(Enum):
    """How much of a distribution goes into a pack; the value says it in words."""

    ALL = ""
    CODE = "its Python code"
    REST = "all but its Python code"


@dataclass(frozen=True)
class DistributionPart:
    """A share of a distribution.

    Libraries need no compiler: where they are most of a large distribution, they have a pack of
    their own, which is on its way into an image while the code is compiled.
    """

    distribution: Distribution
    share: PartKind = PartKind.ALL

    @property
    def files(self) -> tuple[InstalledFile, ...]:
        """Its files, sorted by path."""
        files = self.distribution.files
        if self.share is PartKind.ALL:
            return files
        wanted = self.share is PartKind.CODE
        return tuple(file for file in files if file.path.endswith(".py") is wanted)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True)
class PackageArchive:
    """A distribution or a share of it, byte-compiled and archived.

    Parameters
    ----------
    requirement
        What it is of: ``"numpy==2.1.0"``.
    share
        How much of that.
    file
        Its archive, open-ended as `archives.body` makes it.
    size
        Length of the archive in bytes.
    """

    requirement: str
    share: PartKind = PartKind.ALL
    file: Path
    size: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an image.

    Parameters
    ----------
    name
        Name of its archive in a build context.
    packs
        What it holds, in this order.
    """

    name: str
    packs: tuple[PackageArchive, ...]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(pack.size for pack in self.packs)


class PackageArchiveStore:
    """Packs on disk, found by what determines their bytes.

    Processes may share it: a pack is there whole or not at all.

    Parameters
    ----------
    folder
        Where they are kept; made when it is missing.
    python_build
        Tells one build of Python from another, since they may compile differently.
    root
        Folder in the image below which the distributions are, ``"var/task"``.
    """

    def __init__(self, folder: Path, *, python_build: str, root: str) -> None:
        self._folder = folder
        self._python_build = python_build
        self._root = root

    def find(self, portion: DistributionPart) -> PackageArchive | None:
        """Return the pack of a portion, or None if it was not made yet."""
        file = self._file(portion)
        if not file.exists():
            return None
        mark_used(file)
        return _pack(portion, file)

    def add(
        self, portion: DistributionPart, compiled: Mapping[str, Content], scratch: Path
    ) -> PackageArchive:
        """Make the pack of a portion.

        Parameters
        ----------
        compiled
            Byte code by path, for sources of the portion.
        scratch
            Takes a pack that is not to be kept: one whose files are not what they should be,
            because another distribution brought files of the same names.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        files = portion.files
        sound = [file for file in files if is_sound(portion.distribution, file)]
        kept = len(sound) == len(files)
        descriptor, name = tempfile.mkstemp(dir=self._folder if kept else scratch)
        made = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for piece in body(self._members(portion, sound, compiled), folders=True):
                    out.write(piece)
            if kept:
                made = made.replace(self._file(portion))
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        return _pack(portion, made)

    def _file(self, portion: DistributionPart) -> Path:
        distribution, share = portion.distribution, portion.share
        parts = (str(FORMAT), self._python_build, self._root, distribution.identity, share.name)
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return self._folder / f"{distribution.name}-{key[:32]}.tar"

    def _members(
        self,
        portion: DistributionPart,
        files: Sequence[InstalledFile],
        compiled: Mapping[str, Content],
    ) -> list[Member]:
        distribution = portion.distribution
        members = []
        for file in files:
            path = file.path
            on_disk = distribution.folder / path
            content = on_disk if file.content is None else file.content
            executable = bool(on_disk.stat().st_mode & 0o100)
            members.append(self._member(path, content, executable=executable))
        members += [self._member(path, content) for path, content in compiled.items()]
        if portion.share is not PartKind.REST:
            members.append(self._record(portion, files, compiled))
        return members

    def _record(
        self, portion: DistributionPart, files: Sequence[InstalledFile], compiled: Iterable[str]
    ) -> Member:
        """Return the list of installed files, for `importlib.metadata`.

        The installer's own list tells of the machine it ran on.
        """
        here = {file.path for file in portion.files}
        elsewhere = {file.path for file in portion.distribution.files} - here
        record = f"{portion.distribution.metadata_folder}/RECORD"
        listed = sorted([*(file.path for file in files), *elsewhere, *compiled, record])
        return self._member(record, "".join(f"{path},,\n" for path in listed).encode())

    def _member(self, path: str, content: Content, *, executable: bool = False) -> Member:
        return Member(name=f"{self._root}/{path}", content=(content,), executable=executable)


def is_sound(distribution: Distribution, file: InstalledFile) -> bool:
    """Tell whether a file's content is what the distribution says it is."""
    if file.content is not None:
        return True
    seen = hashlib.sha256()
    with (distribution.folder / file.path).open("rb") as opened:
        while piece := opened.read(_CHUNK_BYTES):
            seen.update(piece)
    return seen.hexdigest() == file.digest


def in_layers(distributions: Iterable[Distribution]) -> list[list[DistributionPart]]:
    """Divide distributions among layers: what is large has its own, all else shares the last.

    The largest come first: another package, which is rarely the largest, then leaves what is below
    it as it is. There is always a last layer, even if it holds nothing.
    """
    ordered = sorted(distributions, key=lambda each: (-each.size, each.name))
    portions = [portion for each in ordered for portion in _portions(each)]
    large = [each for each in portions if each.size >= _LARGE_BYTES]
    small = [each for each in portions if each.size < _LARGE_BYTES] + large[_MAX_LARGE:]
    small.sort(key=lambda each: each.distribution.name)
    return [*([each] for each in large[:_MAX_LARGE]), small]


def _portions(distribution: Distribution) -> list[DistributionPart]:
    rest, code = (
        DistributionPart(distribution, PartKind.REST),
        DistributionPart(distribution, PartKind.CODE),
    )
    return [rest, code] if rest.size >= _LARGE_BYTES else [DistributionPart(distribution)]


def _pack(portion: DistributionPart, file: Path) -> PackageArchive:
    requirement = portion.distribution.pinned
    return PackageArchive(
        requirement=requirement, share=portion.share, file=file, size=file.stat().st_size
    )
