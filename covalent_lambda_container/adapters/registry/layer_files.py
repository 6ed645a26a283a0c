"""Files of an image, read from its layers' archives: what a container would see, without one."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from isal import igzip

from covalent_lambda_container.ports.engine import ImageFile

_WHITEOUT: Final = ".wh."
_OPAQUE: Final = ".wh..wh..opq"
_MOST_LINKS: Final = 40
"""As many as Linux follows (path_resolution(7))."""
_LARGEST_FILE: Final = 64 << 20
"""Bytes of a file that is read; a larger one is none of those that anybody asks for."""


class _Position(NamedTuple):
    """Where a plain file is: the number of its layer, and of its entry in that."""

    layer: int
    entry: int


@dataclass
class _Tree:
    """The file system that the layers read so far make: links, and where plain files are."""

    links: dict[str, str]
    files: dict[str, _Position]

    def remove(self, path: str, *, below_only: bool = False, kept: Set[str] = frozenset()) -> None:
        below = f"{path}/" if path else ""
        for known in (self.links, self.files):
            for gone in [each for each in known if each.startswith(below) and each not in kept]:
                del known[gone]
            if not below_only and path not in kept:
                known.pop(path, None)

    def resolved(self, path: str) -> str | None:
        """Return where a path leads to, from the root; None for a loop of links."""
        done, rest, links = "", path.strip("/").split("/"), 0
        while rest:
            part = rest.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = posixpath.dirname(done)
                continue
            here = f"{done}/{part}".strip("/")
            target = self.links.get(here)
            if target is None:
                done = here
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            rest = [*target.strip("/").split("/"), *rest]
            done = "" if target.startswith("/") else done
        return done


def read_files(
    layers: Iterable[Path], paths: Sequence[str]
) -> tuple[list[ImageFile | None], list[int]]:
    """Return files of an image, and the bytes of all files in each of its layers.

    Each file is from where its links lead to; one that is absent is None.

    Parameters
    ----------
    layers
        Its layers' compressed archives, from the lowest up.
    paths
        Absolute paths.
    """
    tree = _Tree(links={}, files={})
    known, sizes = [], []
    for number, layer in enumerate(layers):
        known.append(layer)
        sizes.append(_apply(tree, number, layer))
    resolved = [tree.resolved(path) for path in paths]
    wanted = {tree.files[path] for path in resolved if path in tree.files}
    contents: dict[_Position, bytes] = {}
    for number, layer in enumerate(known):
        here = {position.entry for position in wanted if position.layer == number}
        if here:
            contents |= {_Position(number, at): data for at, data in _contents(layer, here)}
    found = [
        ImageFile(path=f"/{path}", content=contents[tree.files[path]])
        if path is not None and tree.files.get(path) in contents
        else None
        for path in resolved
    ]
    return found, sizes


def _apply(tree: _Tree, number: int, layer: Path) -> int:
    """Apply a layer to what is below it; return the bytes of its files."""
    size = 0
    before = dict(tree.files)
    made: set[str] = set()
    with _opened(layer) as archive:
        for at, member in enumerate(archive):
            size += member.size
            folder, name = posixpath.split(posixpath.normpath(f"/{member.name}").strip("/"))
            # A layer may go through a link of one below it: lib/x, where lib is usr/lib.
            folder = tree.resolved(folder) or folder
            path = posixpath.join(folder, name)
            # Both hide what is below this layer, wherever in it they stand.
            if name == _OPAQUE:
                tree.remove(folder, below_only=True, kept=made)
            elif name.startswith(_WHITEOUT):
                tree.remove(posixpath.join(folder, name.removeprefix(_WHITEOUT)), kept=made)
            elif member.isdir():
                tree.links.pop(path, None)
                tree.files.pop(path, None)
            else:
                tree.remove(path)
                if member.issym():
                    tree.links[path] = member.linkname
                elif member.islnk():
                    target = posixpath.normpath(f"/{member.linkname}").strip("/")
                    found = tree.files.get(target) or before.get(target)
                    if found:
                        tree.files[path] = found
                    elif target in tree.links:
                        tree.links[path] = tree.links[target]
                elif member.isreg():
                    tree.files[path] = _Position(number, at)
                made.add(path)
    return size


def _contents(layer: Path, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    with _opened(layer) as archive:
        last = max(wanted)
        for at, member in enumerate(archive):
            if at in wanted and member.size <= _LARGEST_FILE:
                content = archive.extractfile(member)
                if content is not None:
                    yield at, content.read()
            if at == last:
                return


@contextmanager
def _opened(layer: Path) -> Iterator[tarfile.TarFile]:
    unpacked: Any = igzip.IGzipFile(layer, "rb")  # type: ignore[no-untyped-call]
    with unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
        yield archive
