"""A function's description in Lambda: its purpose, in words for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

_CHARACTERS: Final = 256
"""Length of a function's description ("CreateFunction", Lambda API reference, read 2026-11)."""

_NOTHING: Final = "no packages"
_MORE: Final = "…"


class Purpose(NamedTuple):
    """The purpose that a function was created for.

    Attributes
    ----------
    tasks
        The tasks: ``"flow.py:workflow/train"``, or an electron's name.
    packages
        The packages of its image.
    """

    tasks: str
    packages: str


def description(tasks: Iterable[str], requirements: Iterable[str]) -> str:
    """Return the description for a function created for these tasks."""
    packages = ", ".join(requirements) or _NOTHING
    text = f"{', '.join(tasks)}: {packages}"
    return text if len(text) <= _CHARACTERS else text[: _CHARACTERS - len(_MORE)] + _MORE


def purpose(text: str) -> Purpose:
    """Parse a description; parts that it lacks are empty."""
    tasks, colon, packages = text.partition(": ")
    return Purpose(tasks, packages) if colon else Purpose("", "")
