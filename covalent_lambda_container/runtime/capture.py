"""Bounded capture of what a task prints, while it still reaches CloudWatch."""

from __future__ import annotations

import io
import threading
from collections import deque
from typing import TextIO

HEAD_CHARACTERS = 32 * 1024
TAIL_CHARACTERS = 96 * 1024
"""What is kept of each stream. JSON may need 12 bytes for one character, so two full streams stay
under 3.1 MB and cannot push an answer over Lambda's limit."""


class CapturedStream(io.TextIOBase):
    """A text stream that passes everything on and remembers its head and tail.

    One object stays in place for the life of the process, since libraries keep references to
    ``sys.stderr``; `begin` starts it afresh for the next task.
    """

    def __init__(self, target: TextIO) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._foreign: frozenset[int | None] = frozenset()
        self._clear()

    def begin(self) -> None:
        """Forget what was written, and what threads that run already will write from now on.

        They are an earlier task's; what they write is passed on and not remembered.
        """
        self._foreign = frozenset(
            thread.ident
            for thread in threading.enumerate()
            if thread is not threading.current_thread()
        )
        self._clear()

    def _clear(self) -> None:
        self._head: list[str] = []
        self._head_room = HEAD_CHARACTERS
        self._tail: deque[str] = deque()
        self._tail_size = 0
        self._dropped = 0

    def write(self, text: str) -> int:
        self._target.write(text)
        if not self._foreign or threading.get_ident() not in self._foreign:
            self._remember(text)
        return len(text)

    def _remember(self, text: str) -> None:
        with self._lock:
            self._keep(text)

    def _keep(self, text: str) -> None:
        if self._head_room:
            kept, text = text[: self._head_room], text[self._head_room :]
            self._head.append(kept)
            self._head_room -= len(kept)
        if not text:
            return
        self._tail.append(text)
        self._tail_size += len(text)
        while self._tail_size > TAIL_CHARACTERS:
            excess = self._tail_size - TAIL_CHARACTERS
            oldest = self._tail.popleft()
            if len(oldest) > excess:
                self._tail.appendleft(oldest[excess:])
                oldest = oldest[:excess]
            self._tail_size -= len(oldest)
            self._dropped += len(oldest)

    def take(self) -> str:
        """Return what was written since `begin`, its middle cut out if it was long."""
        cut = f"\n[… {self._dropped} characters left out …]\n" if self._dropped else ""
        text = "".join(self._head) + cut + "".join(self._tail)
        self._clear()
        return text

    def flush(self) -> None:
        self._target.flush()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._target.fileno()

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._target.encoding

    @property
    def buffer(self) -> io.BufferedIOBase:
        """The binary stream underneath: bytes written there are passed on but not remembered."""
        return self._target.buffer  # type: ignore[return-value]
