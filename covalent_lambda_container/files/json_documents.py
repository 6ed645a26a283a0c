"""Parses untrusted JSON without holding the interpreter's lock for long.

A parser holds the lock until it has created every value, and six megabytes of ``[],[],…`` are two
million of them: seconds in which the event loop of Covalent's server is blocked, whichever thread
parses. Honest documents have few values, some with very long text.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from pydantic_core import from_json

UNQUOTED_BYTES: Final = 64 * 1024
"""Most bytes outside of strings. Every value takes at least one, so this also limits the number of
values; an answer with the most packages that it may require needs a tenth."""

_WINDOW_BYTES: Final = 256 * 1024
_TEXT: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class TooManyValues(ValueError):
    """A document has more values, or deeper nesting, than any expected document."""


def parsed(document: bytes) -> Any:
    """Return the value of a JSON document.

    Raises
    ------
    TooManyValues
        It has more than 64 KB outside of its strings, or is nested too deeply.
    ValueError
        It is not JSON.
    """
    if len(document) > UNQUOTED_BYTES:
        _check_values(document)
    try:
        # Thirty times as fast with long strings as the standard library's.
        return from_json(document)
    except ValueError:
        # The latter also accepts lone surrogates, for which answers have a separate error.
        return _leniently(document)


def _leniently(document: bytes) -> Any:
    try:
        return json.loads(document)
    except RecursionError:
        raise TooManyValues("its values are nested too deeply") from None


def _check_values(document: bytes) -> None:
    unquoted, end = 0, 0
    while True:
        start = _find_quote(document, end, end + UNQUOTED_BYTES - unquoted + 1)
        unquoted += (len(document) if start < 0 else start) - end
        if unquoted > UNQUOTED_BYTES:
            raise TooManyValues(f"more than {UNQUOTED_BYTES} bytes are outside of its strings")
        if start < 0:
            return
        end = _end_of_string(document, start + 1)


def _end_of_string(document: bytes, position: int) -> int:
    """Return the end of the string that contains a position; else the document's end."""
    while position < len(document):
        # In windows: others get the lock in between.
        text = _TEXT.match(document, position, position + _WINDOW_BYTES)
        end = text.end() if text else position
        if document[end : end + 1] == b'"':
            return end + 1
        if end == position:
            # A backslash, and nothing after it.
            break
        position = end
    return len(document)


def _find_quote(document: bytes, start: int, stop: int) -> int:
    """Return the position of the next quote, or -1. Other threads get the lock in between."""
    for begin in range(start, min(stop, len(document)), _WINDOW_BYTES):
        found = document.find(b'"', begin, min(begin + _WINDOW_BYTES, stop))
        if found >= 0:
            return found
    return -1
