"""Bounded capture of a task's output."""

from __future__ import annotations

import codecs
from collections import deque

HEAD_BYTES = 32 * 1024
TAIL_BYTES = 96 * 1024
"""Bytes kept of each stream. JSON may need 6 bytes for one byte of output, so two full streams stay
under 1.6 MB and cannot push an answer over Lambda's limit."""

_CHARACTER_BYTES = 4
"""Most bytes of a character in UTF-8."""


class CapturedOutput:
    """Keeps the beginning and the end of a stream of bytes."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._dropped = 0

    @property
    def size(self) -> int:
        """Number of bytes written."""
        return len(self._head) + self._tail_size + self._dropped

    def add(self, content: bytes) -> None:
        """Append output."""
        room = HEAD_BYTES - len(self._head)
        if room:
            self._head += content[:room]
            content = content[room:]
        if not content:
            return
        self._tail.append(content)
        self._tail_size += len(content)
        while self._tail_size > TAIL_BYTES:
            excess = self._tail_size - TAIL_BYTES
            oldest = self._tail.popleft()
            if len(oldest) > excess:
                self._tail.appendleft(oldest[excess:])
                oldest = oldest[:excess]
            self._tail_size -= len(oldest)
            self._dropped += len(oldest)

    def text(self) -> str:
        """Return the output, without its middle if it is long.

        Bytes that are not UTF-8 are shown as ``\\xNN``. A character of which a part was dropped is
        left out completely.
        """
        head, tail = bytes(self._head), b"".join(self._tail)
        if not self._dropped:
            return _decoded(head + tail)
        whole_head, whole_tail = _without_begun_character(head), _without_rest_of_character(tail)
        left_out = self.size - len(whole_head) - len(whole_tail)
        return f"{_decoded(whole_head)}\n[… {left_out} bytes left out …]\n{_decoded(whole_tail)}"


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")


def _without_begun_character(content: bytes) -> bytes:
    """Return text without the bytes of a character at its end that need further ones."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    decoder.decode(content[-_CHARACTER_BYTES:])
    begun, _ = decoder.getstate()
    return content[: len(content) - len(begun)]


def _without_rest_of_character(content: bytes) -> bytes:
    """Return text without the bytes at its start that continue a character before them."""
    first = content[: _CHARACTER_BYTES - 1]
    rest = next((i for i, byte in enumerate(first) if not 0x80 <= byte < 0xC0), len(first))
    return content[rest:]
