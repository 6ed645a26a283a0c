"""Distributions as parts of image layers: archives on disk, made once and the same everywhere."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from covalent_lambda_container.archives import Content, Member, body
from covalent_lambda_container.distributions import Distribution, InstalledFile

FORMAT: Final = 1
"""Number of the way in which packs are made; another one where their bytes change."""

_CHUNK_BYTES: Final = 1 << 20
_LARGE_BYTES: Final = 5_000_000
_MAX_LARGE: Final = 60
"""Docker allows 127 layers in an image, those of the root and of DepsBash included."""


@dataclass(frozen=True, kw_only=True)
class Pack:
    """One distribution, byte-compiled and archived.

    Parameters
    ----------
    requirement
        What it is: ``"numpy==2.1.0"``.
    file
        Its archive, open-ended as `archives.body` makes it.
    size
        Length of the archive in bytes.
    """

    requirement: str
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
    packs: tuple[Pack, ...]

    @property
    def size(self) -> int:
        """Length in bytes."""
        return sum(pack.size for pack in self.packs)


class PackStore:
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

    def find(self, distribution: Distribution) -> Pack | None:
        """Return the pack of a distribution, or None if it was not made yet."""
        file = self._file(distribution)
        if not file.exists():
            return None
        # The time of its last use: what was long not used can be removed.
        os.utime(file)
        return Pack(requirement=distribution.pinned, file=file, size=file.stat().st_size)

    def add(
        self, distribution: Distribution, compiled: Mapping[str, Content], scratch: Path
    ) -> Pack:
        """Make the pack of a distribution.

        Parameters
        ----------
        compiled
            Byte code by path, for sources of the distribution.
        scratch
            Takes a pack that is not to be kept: one whose files are not what they should be,
            because another distribution brought files of the same names.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        sound = [file for file in distribution.files if is_sound(distribution, file)]
        kept = len(sound) == len(distribution.files)
        descriptor, name = tempfile.mkstemp(dir=self._folder if kept else scratch)
        made = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as out:
                for piece in body(self._members(distribution, sound, compiled), folders=True):
                    out.write(piece)
            if kept:
                made = made.replace(self._file(distribution))
        except BaseException:
            made.unlink(missing_ok=True)
            raise
        return Pack(requirement=distribution.pinned, file=made, size=made.stat().st_size)

    def _file(self, distribution: Distribution) -> Path:
        parts = (str(FORMAT), self._python_build, self._root, distribution.identity)
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
        return self._folder / f"{distribution.name}-{key[:32]}.tar"

    def _members(
        self,
        distribution: Distribution,
        files: Sequence[InstalledFile],
        compiled: Mapping[str, Content],
    ) -> list[Member]:
        paths = {file.path: file for file in files}
        members = []
        for path, file in paths.items():
            on_disk = distribution.folder / path
            content = on_disk if file.content is None else file.content
            executable = bool(on_disk.stat().st_mode & 0o100)
            members.append(self._member(path, content, executable=executable))
        members += [self._member(path, content) for path, content in compiled.items()]
        # Which files were installed, for `importlib.metadata`; the installer's own list tells of
        # the machine it ran on.
        record = f"{distribution.metadata_folder}/RECORD"
        listed = "".join(f"{path},,\n" for path in sorted([*paths, *compiled, record]))
        members.append(self._member(record, listed.encode()))
        return members

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


def in_layers(distributions: Iterable[Distribution]) -> list[list[Distribution]]:
    """Divide distributions among layers: a large one has its own, the small ones share the last.

    The largest come first: another package, which is rarely the largest, then leaves what is below
    it as it is. There is always a last layer, even if it holds none.
    """
    sizes = [(-each.size, each.name, each) for each in distributions]
    ordered = [each for *_, each in sorted(sizes, key=lambda sized: sized[:2])]
    large = [each for each in ordered if each.size >= _LARGE_BYTES][:_MAX_LARGE]
    small = sorted(ordered[len(large) :], key=lambda each: each.name)
    return [*([each] for each in large), small]
