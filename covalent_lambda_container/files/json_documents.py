"""JSON of strangers, parsed without keeping the interpreter's lock for long.

A parser holds the lock until it has created every value, and six megabytes of ``[],[],…`` are two
million of them: seconds in which the event loop of Covalent's server stands still, whichever thread
parses. What is honest consists of few values, some with very long text.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from pydantic_core import from_json

UNQUOTED_BYTES: Final = 64 * 1024
"""Most bytes outside of strings. Every value takes at least one, so that there are no more values
than that; an answer with the most packages that it may ask for takes a tenth."""

_WINDOW_BYTES: Final = 256 * 1024
_TEXT: Final = re.compile(rb'[^"\\]*(?:\\.[^"\\]*)*', re.DOTALL)


class TooManyValues(ValueError):
    """A document has more values, or deeper ones, than what is expected could have."""


def parsed(document: bytes) -> Any:
    """Return what a JSON document holds.

    Raises
    ------
    TooManyValues
        It has more than 64 KB outside of its strings, or nests them too deep.
    ValueError
        It is no JSON.
    """
    if len(document) > UNQUOTED_BYTES:
        _check_values(document)
    try:
        # Thirty times as fast with long strings as the standard library's.
        return from_json(document)
    except ValueError:
        # That one takes lone surrogates as well, for which answers have an error of their own.
        return _leniently(document)


def _leniently(document: bytes) -> Any:
    try:
        return json.loads(document)
    except RecursionError:
        raise TooManyValues("its values are nested too deep") from None


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
    """Return where the string ends in which a position is; the document's end if it does not."""
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
    """Return where the next quote is; -1 if there is none. Others get the lock in between."""
    for begin in range(start, min(stop, len(document)), _WINDOW_BYTES):
        found = document.find(b'"', begin, min(begin + _WINDOW_BYTES, stop))
        if found >= 0:
            return found
    return -1
