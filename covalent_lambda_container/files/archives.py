"""Tar archives that depend only on names and contents: the same bytes on every machine."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

END: Final = bytes(2 * tarfile.BLOCKSIZE)
"""End of an archive. Archives without it can be concatenated."""

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some bytes of a file on disk."""

    file: Path
    start: int
    size: int

    def read(self) -> bytes:
        """Return the bytes."""
        with self.file.open("rb") as opened:
            opened.seek(self.start)
            return opened.read(self.size)


Content = bytes | Path | Part
"""Bytes, a file on disk, or some bytes of a file."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive, or a folder.

    Parameters
    ----------
    name
        Relative path with slashes; a folder's ends with a slash.
    content
        Pieces of its content, in order.
    executable
        Whether it is executable.
    """

    name: str
    content: tuple[Content, ...] = ()
    executable: bool = False

    @property
    def size(self) -> int:
        """The content's length in bytes."""
        return sum(map(size_of, self.content))


def size_of(content: Content) -> int:
    """Return a content's length in bytes."""
    if isinstance(content, Path):
        return content.stat().st_size
    return content.size if isinstance(content, Part) else len(content)


def pieces(contents: Iterable[Content]) -> Iterator[bytes]:
    """Yield contents one after the other, those of files in pieces of at most a megabyte."""
    for content in contents:
        if isinstance(content, bytes):
            yield content
            continue
        path, start = (content, 0) if isinstance(content, Path) else (content.file, content.start)
        rest = size_of(content)
        with path.open("rb") as file:
            file.seek(start)
            while rest and (piece := file.read(min(_CHUNK_BYTES, rest))):
                rest -= len(piece)
                yield piece


def files(contents: dict[str, bytes]) -> list[Member]:
    """Return plain members for names and contents."""
    return [Member(name=name, content=(content,)) for name, content in contents.items()]


def archive(members: Iterable[Member], *, folders: bool = False) -> Iterator[bytes]:
    """Yield a whole archive in pieces; see `body`."""
    yield from body(members, folders=folders)
    yield END


def body(members: Iterable[Member], *, folders: bool = False) -> Iterator[bytes]:
    """Yield an archive without its end, in pieces, sorted by name.

    Owners are root and times are zero. Unpacking creates missing folders with the current time;
    ``folders`` includes them in the archive.
    """
    ordered = sorted(members, key=lambda member: member.name)
    made = {""}
    for member in ordered:
        folder, _, name = member.name.rpartition("/")
        for missing in _folders(folder, made) if folders or not name else ():
            made.add(missing)
            yield _header(f"{missing}/", 0, mode=0o755, kind=tarfile.DIRTYPE)
        if not name:
            continue
        size = member.size
        yield _header(member.name, size, mode=0o755 if member.executable else 0o644)
        yield from pieces(member.content)
        yield bytes(-size % tarfile.BLOCKSIZE)


def without_duplicates(contents: Sequence[bytes | Path]) -> tuple[Content, ...]:
    """Return an archive with each path once, from concatenated archives.

    A folder keeps its first position, and a file its last content, as if all had been unpacked.
    Container engines refuse layers with duplicates.

    Parameters
    ----------
    contents
        Pieces of archives as `body` returns them, each file one of them; the last piece is `END`.
    """
    archives: list[bytes | Path] = []
    for content in contents:
        if archives and isinstance(content, bytes) and isinstance(archives[-1], bytes):
            archives[-1] += content
        else:
            archives.append(content)
    if len(archives) == 1 or archives[1:] == [END]:
        return tuple(contents)
    entries = [entry for each in archives for entry in _entries(each)]
    kept: dict[str, int] = {}
    for number, (name, is_folder, _) in enumerate(entries):
        if not is_folder or name not in kept:
            kept[name] = number
    chosen = set(kept.values())
    parts = (part for number, (_, _, part) in enumerate(entries) if number in chosen)
    return (*_joined(parts), END)


def unpack(stream: IO[bytes], folder: Path) -> None:
    """Write only an archive's plain files, and only below a folder.

    Links, devices and names that lead out of the folder are skipped.
    """
    with tarfile.open(fileobj=stream, mode="r|") as opened:
        for member in opened:
            parts = PurePosixPath(member.name).parts
            content = opened.extractfile(member) if member.isreg() else None
            if content is None or ".." in parts or member.name.startswith("/"):
                continue
            target = folder.joinpath(*parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                while piece := content.read(_CHUNK_BYTES):
                    file.write(piece)
            target.chmod(0o755 if member.mode & 0o100 else 0o644)


def read_archive(file: Path) -> dict[str, bytes]:
    """Return the contents of an archive's files, by name."""
    with tarfile.open(file) as opened:
        contents = {member.name: opened.extractfile(member) for member in opened}
        return {name: content.read() for name, content in contents.items() if content}


def _entries(archive: bytes | Path) -> Iterator[tuple[str, bool, bytes | Part]]:
    """Yield the entries of an archive: name, whether it is a folder, and all its bytes."""
    with ExitStack() as opened:
        if isinstance(archive, bytes):
            stream: IO[bytes] = io.BytesIO(archive)
        else:
            stream = opened.enter_context(archive.open("rb"))
        for member in opened.enter_context(tarfile.open(fileobj=stream, mode="r:")):
            end = member.offset_data + member.size + -member.size % tarfile.BLOCKSIZE
            if isinstance(archive, bytes):
                part: bytes | Part = archive[member.offset : end]
            else:
                part = Part(file=archive, start=member.offset, size=end - member.offset)
            yield member.name, member.isdir(), part


def _joined(parts: Iterable[bytes | Part]) -> Iterator[bytes | Part]:
    """Yield parts, with adjacent parts of a file merged."""
    last: bytes | Part | None = None
    for part in parts:
        if (
            isinstance(last, Part)
            and isinstance(part, Part)
            and (last.file, last.start + last.size) == (part.file, part.start)
        ):
            last = Part(file=last.file, start=last.start, size=last.size + part.size)
            continue
        if last is not None:
            yield last
        last = part
    if last is not None:
        yield last


def _folders(folder: str, made: Set[str]) -> list[str]:
    """Return a folder and its parents, the topmost first, without those in `made`."""
    missing = []
    while folder not in made:
        missing.append(folder)
        folder = folder.rpartition("/")[0]
    return missing[::-1]


def _header(name: str, size: int, *, mode: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    header = tarfile.TarInfo(name)
    header.size, header.mode, header.type = size, mode, kind
    return header.tobuf(tarfile.PAX_FORMAT)
