"""The files in the archive that a sublattice's node returns, checked before they are read.

Covalent's server unpacks the archive, and then copies each file by its URI. What is read here has
to be what is found there: no two members may become the same file, and no URI may mean another
one.
"""

from __future__ import annotations

import base64
import io
import re
import tarfile
from collections.abc import Mapping
from typing import Any, Final

from covalent._workflow.transport import TransportableObject
from covalent._workflow.transportable_object import HEADER_OFFSET, TOArchiveUtils

from covalent_lambda_container.errors import InvocationError

SCHEME: Final = "file:///"
_PIECE_CHARACTERS: Final = 1024 * 1024
_LARGEST_DOCUMENT: Final = 64 * 1024 * 1024
_LARGEST_HEADER: Final = 1024 * 1024
_PLAIN_NAME: Final = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9_.+@=,~-]+")
"""Names that are the same in an archive, in a URI and on every file system. The server decodes
``%2e%2e`` in URIs, and ends a path at ``?`` and ``#``."""


class StagedFiles:
    """The files in an archive.

    Parameters
    ----------
    text
        The archive, base64 text.

    Raises
    ------
    InvocationError
        It has members that are not plain files and folders with plain names.
    ValueError, tarfile.TarError
        It is not an archive.

    Attributes
    ----------
    names
        Names of its files.
    """

    def __init__(self, text: str) -> None:
        # Only in memory.
        self._archive = tarfile.open(fileobj=_decoded(text), mode="r:")  # noqa: SIM115
        _check_members(self._archive)
        self.names = frozenset(m.name for m in self._archive.getmembers() if m.isfile())

    def document(self, name: str) -> bytes:
        """Return a file's content, which must be shorter than 64 MB."""
        opened = self._archive.extractfile(name)
        if not opened:
            return b""
        _check_size(name, self._archive.getmember(name).size, _LARGEST_DOCUMENT)
        return opened.read()

    def asset(self, assets: Mapping[str, Any], key: str) -> bytes:
        """Return the content of the file that an entry of the manifest names; empty without one."""
        name = _name(assets, key)
        return self.document(name) if name else b""

    def value(self, assets: Mapping[str, Any], key: str) -> TransportableObject | None:
        """Return the value in such a file."""
        content = self.asset(assets, key)
        return TransportableObject.deserialize(content) if content else None

    def header(self, assets: Mapping[str, Any], key: str) -> Mapping[str, Any]:
        """Return the header of such a value, which may itself have hundreds of megabytes."""
        name = _name(assets, key)
        opened = self._archive.extractfile(name) if name else None
        start = opened.read(HEADER_OFFSET) if opened else b""
        if not opened or not start:
            return {}
        size = TOArchiveUtils.string_offset(start)
        _check_size(name, size, _LARGEST_HEADER)
        content = start + opened.read(max(size - HEADER_OFFSET, 0))
        header: Mapping[str, Any] = TransportableObject.deserialize(
            content, header_only=True
        ).header
        return header


def refused(reason: str, hint: str | None = None) -> InvocationError:
    """Return the error for an archive that is refused."""
    return InvocationError(f"The answer of a sublattice's node is refused: {reason}.", hint=hint)


def _name(assets: Mapping[str, Any], key: str) -> str:
    asset = assets.get(key)
    uri = asset.get("uri") if asset else None
    return str(uri).removeprefix(SCHEME) if uri else ""


def _decoded(text: str) -> io.BytesIO:
    """Decode in pieces: the decoder holds the interpreter's lock."""
    if 0 <= text.find("=") < len(text) - 2:
        # The server's decoder would end there.
        raise ValueError("padding inside of base64 text")
    raw = io.BytesIO()
    for start in range(0, len(text), _PIECE_CHARACTERS):
        raw.write(base64.b64decode(text[start : start + _PIECE_CHARACTERS], validate=True))
    raw.seek(0)
    return raw


def _check_members(archive: tarfile.TarFile) -> None:
    seen = set()
    for member in archive.getmembers():
        are_plain = all(_PLAIN_NAME.fullmatch(part) for part in member.name.split("/"))
        # A sparse file of a few bytes can fill a disk.
        is_plain = (member.isfile() and not member.issparse()) or member.isdir()
        if not are_plain or not is_plain:
            raise refused(f"it has {member.name[:80]!r}, which is not a plain file in its folder")
        # The same on some file systems.
        name = member.name.casefold()
        if name in seen:
            raise refused(f"it has {member.name[:80]!r} twice")
        seen.add(name)


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise refused(f"its {name[:80]!r} has {size} bytes of JSON")
