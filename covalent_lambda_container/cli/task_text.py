"""What tasks wrote, on a terminal: it may be anything, and changes nothing but lines of text."""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return a text whose control characters, but for tabs and ends of lines, are shown as text.

    A task could otherwise move the cursor, change the terminal's title, or hide what it printed.
    Of a line that was overwritten, as progress bars do, the last state is shown.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    last = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], "\n".join(last))
