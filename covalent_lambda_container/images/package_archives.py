"""Installed distributions as archives on disk: created once, identical on every machine."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.files.archives import Content, Member, body
from covalent_lambda_container.files.kept_files import find_kept, keep
from covalent_lambda_container.images.distributions import (
    Distribution,
    InstalledFile,
    is_sound,
)

FORMAT: Final = 4
"""Version of the archives' format: increment it when the same distribution gives other bytes."""

LARGE_BYTES: Final = 5_000_000
_MAX_LARGE: Final = 60
"""Docker allows 127 layers in an image, those of the root and of DepsBash included."""


class PartKind(Enum):
    """Which files of a distribution an archive holds; the value is its description."""

    ALL = ""
    CODE = "its Python code"
    REST = "all but its Python code"


@dataclass(frozen=True)
class DistributionPart:
    """The files of a distribution that go into one archive.

    Shared libraries and data are not compiled. Where a distribution has many megabytes of them,
    they form an archive of their own, which Docker adds to the image while the Python code is
    still being compiled.
    """

    distribution: Distribution
    kind: PartKind = PartKind.ALL

    @property
    def files(self) -> tuple[InstalledFile, ...]:
        """Its files, sorted by path."""
        files = self.distribution.files
        if self.kind is PartKind.ALL:
            return files
        wanted = self.kind is PartKind.CODE
        return tuple(file for file in files if file.path.endswith(".py") is wanted)

    @property
    def size(self) -> int:
        """Bytes of its files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, kw_only=True)
class PackageArchive:
    """A distribution, or a part of it, byte-compiled and archived.

    Parameters
    ----------
    requirement
        Pinned requirement of the distribution: ``"numpy==2.1.0"``.
    kind
        Which part of the distribution it holds.
    file
        The tar archive, without its end-of-archive blocks (see `files.archives.body`).
    size
        Size of the archive, in bytes.
    """

    requirement: str
    kind: PartKind = PartKind.ALL
    file: Path
    size: int


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an image.

    Parameters
    ----------
    name
        Name of the layer's archive in a build context.
    archives
        Its contents, in this order.
    """

    name: str
    archives: tuple[PackageArchive, ...]

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(archive.size for archive in self.archives)


class PackageArchiveStore:
    """Package archives on disk, keyed by everything that determines their bytes.

    Processes may share a store: archives are written atomically.

    Parameters
    ----------
    folder
        Where the archives are kept; created if missing.
    python_build
        Identifies the build of Python that compiled them, since builds may differ in byte code.
    root
        Folder of the image that the distributions are installed in: ``"var/task"``.
    """

    def __init__(self, folder: Path, *, python_build: str, root: str) -> None:
        self._folder = folder
        self._python_build = python_build
        self._root = root

    def find(self, part: DistributionPart) -> PackageArchive | None:
        """Return the archive of a part, or None if the store does not have it undamaged."""
        file = find_kept(self._folder, self._key(part))
        return None if file is None else _package_archive(part, file)

    def add(
        self, part: DistributionPart, compiled: Mapping[str, Content], scratch: Path
    ) -> PackageArchive:
        """Create the archive of a part.

        Parameters
        ----------
        compiled
            Byte code of the part's sources, by path.
        scratch
            Folder on the store's file system for an archive that is not whole yet, or must not be
            kept, because files are not what their recorded hashes say.
        """
        files = part.files
        folder = part.distribution.folder
        # A file whose recorded hash is wrong is archived as installers install it, but the archive
        # is not kept: it is found by the hashes.
        kept = all(not file.overwritten and is_sound(folder, file) for file in files)
        present = [file for file in files if not file.overwritten]
        descriptor, name = tempfile.mkstemp(dir=scratch)
        made = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                members = self._members(part, present, compiled)
                out.writelines(cancellable.checked(body(members, folders=True)))
            if kept:
                made = keep(made, self._folder, self._key(part))
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        return _package_archive(part, made)

    def _key(self, part: DistributionPart) -> str:
        distribution, kind = part.distribution, part.kind
        parts = (str(FORMAT), self._python_build, self._root, distribution.identity, kind.name)
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return f"{distribution.name}-{key[:32]}"

    def _members(
        self,
        part: DistributionPart,
        files: Sequence[InstalledFile],
        compiled: Mapping[str, Content],
    ) -> list[Member]:
        distribution = part.distribution
        members = []
        for file in files:
            path = file.path
            on_disk = distribution.folder / path
            content = on_disk if file.content is None else file.content
            executable = bool(on_disk.stat().st_mode & 0o100)
            members.append(self._member(path, content, executable=executable))
        members += [self._member(path, content) for path, content in compiled.items()]
        if part.kind is not PartKind.REST:
            members.append(self._record(part, files, compiled))
        return members

    def _record(
        self, part: DistributionPart, files: Sequence[InstalledFile], compiled: Iterable[str]
    ) -> Member:
        """Return the list of installed files, for `importlib.metadata`.

        The installer's own list contains paths of the machine that it ran on.
        """
        here = {file.path for file in part.files}
        elsewhere = {file.path for file in part.distribution.files} - here
        record = f"{part.distribution.metadata_folder}/RECORD"
        listed = sorted([*(file.path for file in files), *elsewhere, *compiled, record])
        written = io.StringIO()
        csv.writer(written, lineterminator="\n").writerows([path, "", ""] for path in listed)
        return self._member(record, written.getvalue().encode())

    def _member(self, path: str, content: Content, *, executable: bool = False) -> Member:
        return Member(name=f"{self._root}/{path}", content=(content,), executable=executable)


def in_layers(
    distributions: Iterable[Distribution], large_bytes: int = LARGE_BYTES
) -> list[list[DistributionPart]]:
    """Assign distributions to layers: each large one has its own, all others share the last.

    The largest come first, so that adding a package, which is rarely the largest, leaves the layers
    below it unchanged. There is always a last layer, even if it is empty.
    """
    ordered = sorted(distributions, key=lambda each: (-each.size, each.name))
    parts = [part for each in ordered for part in _parts(each, large_bytes)]
    large = [each for each in parts if each.size >= large_bytes]
    small = [each for each in parts if each.size < large_bytes] + large[_MAX_LARGE:]
    small.sort(key=lambda each: each.distribution.name)
    return [*([each] for each in large[:_MAX_LARGE]), small]


def _parts(distribution: Distribution, large_bytes: int) -> list[DistributionPart]:
    rest, code = (
        DistributionPart(distribution, PartKind.REST),
        DistributionPart(distribution, PartKind.CODE),
    )
    return [rest, code] if rest.size >= large_bytes else [DistributionPart(distribution)]


def _package_archive(part: DistributionPart, file: Path) -> PackageArchive:
    requirement = part.distribution.pinned
    return PackageArchive(
        requirement=requirement, kind=part.kind, file=file, size=file.stat().st_size
    )
