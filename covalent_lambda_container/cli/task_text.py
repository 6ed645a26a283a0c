"""Text written by tasks, made harmless for a terminal, whatever it contains."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return a text with its control characters, except tabs and line breaks, shown as text.

    A task could otherwise move the cursor, change the terminal's title, or hide what it printed.
    For lines that were overwritten, as progress bars do, only the last state is shown.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    last = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], "\n".join(last))
