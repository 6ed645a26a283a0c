"""Whole lines of an output that comes in pieces, which end anywhere."""

from __future__ import annotations

import codecs
from typing import Final

_LONGEST: Final = 64 * 1024
"""Characters after which a line is taken as it is."""


class Lines:
    """Puts the lines of one stream together; a character may be cut as well."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = ""

    def of(self, piece: bytes | str) -> list[str]:
        """Return the lines that end with a piece; the rest waits for the next one."""
        text = self._decoder.decode(piece) if isinstance(piece, bytes) else piece
        whole, newline, self._begun = (self._begun + text).rpartition("\n")
        lines = whole.split("\n") if newline else []
        if len(self._begun) > _LONGEST:
            lines += self.end()
        # A bar of progress is written again and again in one line.
        return [part for line in lines for part in line.splitlines() or [""]]

    def end(self) -> list[str]:
        """Return what is left: a last line that has no end."""
        left, self._begun = self._begun, ""
        return left.splitlines()
