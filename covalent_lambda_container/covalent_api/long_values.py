"""Values of hundreds of megabytes, read and written piece by piece.

Covalent keeps a value's pickle as base64 text. Whatever decodes, copies or searches such a text in
one call holds the interpreter's lock meanwhile, whichever thread it is in, and the event loop of
Covalent's server stands still.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from typing import Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.pickles import References, references
from covalent_lambda_container.covalent_api.transport import pickle_of

_SHORT_CHARACTERS: Final = 1024 * 1024
"""Shorter texts are decoded in one call."""

_PIECE_CHARACTERS: Final = 1024 * 1024
_PIECE_BYTES: Final = _PIECE_CHARACTERS // 4 * 3
_LONGEST_LINE: Final = 64 * 1024
"""Most bytes of a name in one of pickle's text opcodes."""


def mentions(value: TransportableObject, word: bytes) -> bool:
    """Return whether a value's pickle contains some bytes."""
    end = b""
    for piece in pieces_of(value):
        if word in end + piece:
            return True
        end = piece[-len(word) :]
    return False


def references_of(value: TransportableObject) -> References:
    """Return what a value's pickle refers to, as `references` does.

    Texts of more than a megabyte, which are no names, are left out of a long pickle's.
    """
    text = value.get_serialized()
    if len(text) <= _SHORT_CHARACTERS:
        return references(pickle_of(value))
    return references(_PickleText(text))


def size_of_pickle(value: TransportableObject) -> int:
    """Return how many bytes a value's pickle has."""
    return _decoded_size(value.get_serialized())


def _decoded_size(text: str) -> int:
    return len(text) // 4 * 3 - text[-2:].count("=")


def pieces_of(value: TransportableObject) -> Iterator[bytes]:
    """Yield a value's pickle."""
    # Not above: Covalent imports this module with every `import covalent`.
    import pybase64

    text = value.get_serialized()
    for start in range(0, len(text), _PIECE_CHARACTERS):
        yield pybase64.b64decode(text[start : start + _PIECE_CHARACTERS], validate=True)


def as_base64(pieces: Iterable[bytes]) -> str:
    """Return the base64 text of what the pieces make together."""
    text, rest = "", b""
    for piece in pieces:
        rest += piece
        whole = len(rest) // 3 * 3
        text += base64.b64encode(rest[:whole]).decode()
        rest = rest[whole:]
    text += base64.b64encode(rest).decode()
    return text


class _Skipped(bytes):
    """Stands for bytes of a pickle that nobody needs: it is as long as they are, and empty."""

    def __new__(cls, size: int) -> _Skipped:
        skipped = super().__new__(cls)
        skipped._size = size
        return skipped

    _size: int

    def __len__(self) -> int:
        return self._size


class _PickleText:
    """A pickle's base64 text as the file that `pickletools` reads: large arguments are skipped.

    Parameters
    ----------
    text
        The text.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._size = _decoded_size(text)
        self._start = 0
        self._piece = io.BytesIO()
        self._go_to(0)

    def read(self, size: int) -> bytes:
        """Return the next bytes."""
        found = self._piece.read(size)
        missing = size - len(found)
        if not missing:
            return found
        position = self._start + self._piece.tell()
        if missing > self._size - position:
            self._go_to(self._size)
            return found
        self._go_to(position if size <= _PIECE_BYTES else position + missing)
        return found + self._piece.read(missing) if size <= _PIECE_BYTES else _Skipped(size)

    def readline(self) -> bytes:
        """Return the bytes up to the end of a line; it cannot be long."""
        line = b""
        while len(line) < _LONGEST_LINE and not line.endswith(b"\n"):
            byte = self.read(1)
            if not byte:
                break
            line += byte
        return line

    def _go_to(self, position: int) -> None:
        self._start = position // 3 * 3
        first = self._start // 3 * 4
        content = base64.b64decode(self._text[first : first + _PIECE_CHARACTERS])
        self._piece = io.BytesIO(content)
        self._piece.seek(position - self._start)
