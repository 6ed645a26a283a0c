"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Collection
from typing import Final

_MOST: Final = 2
_SHORTEST: Final = 3


def nearest(name: str, known: Collection[str]) -> list[str]:
    """Return up to two known names that are most similar to a name, the best first.

    A word of a known name counts most, ``memory`` for ``memory_size``; then similar spelling, then
    one name containing the other.
    """
    plain = {_plain(each): each for each in known}
    given = _plain(name)
    words = [each for each in plain if given and given in each.split("_")]
    like = difflib.get_close_matches(given, plain, n=_MOST, cutoff=0.7)
    parts = [
        each
        for each in plain
        if min(len(given), len(each)) >= _SHORTEST and (given in each or each in given)
    ]
    rest = [*sorted(parts, key=len), *difflib.get_close_matches(given, plain, n=1, cutoff=0.5)]
    return [plain[each] for each in dict.fromkeys([*words, *like, *rest])][:_MOST]


def did_you_mean(name: str, known: Collection[str]) -> str:
    """Return ``"Did you mean memory_size?"``; an empty string if no name is similar."""
    found = nearest(name, known)
    return f"Did you mean {' or '.join(found)}?" if found else ""


def _plain(name: str) -> str:
    return name.lower().lstrip("-").replace("-", "_")
