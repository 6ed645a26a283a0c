"""Bounded capture of a task's output."""

from __future__ import annotations

from collections import deque

HEAD_BYTES = 32 * 1024
TAIL_BYTES = 96 * 1024
"""Bytes kept of each stream. JSON may need 6 bytes for one byte of output, so two full streams stay
under 1.6 MB and cannot push an answer over Lambda's limit."""


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

        Bytes that are not UTF-8 are shown as ``\\xNN``.
        """
        if not self._dropped:
            return _decoded(bytes(self._head) + b"".join(self._tail))
        cut = f"\n[… {self._dropped} bytes left out …]\n"
        return _decoded(bytes(self._head)) + cut + _decoded(b"".join(self._tail))


def _decoded(content: bytes) -> str:
    return content.decode("utf-8", "backslashreplace")
