"""The output of uv and pip, shortened for an error: users need the reason, not every version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

UNWRAPPED: Final = {"COLUMNS": "10000"}
"""Environment variables for uv: it wraps what it says at the width that it finds there."""

_MAX_LINES: Final = 14
_MAX_LINE: Final = 400
"""Characters."""
_LISTED: Final = 3
"""Versions shown of a list."""

_UNIMPORTANT: Final = (
    *("Using CPython", "Resolved ", "Prepared ", "   Building ", "      Built "),
    *("Downloading ", " Downloaded ", "   Updating ", "    Updated "),
)

_NO_WHEEL: Final = re.compile(r"Wheels are required for `(?P<name>[^`]+)`")
_VERSION_LINE: Final = re.compile(
    r"\s+(?P<name>[A-Za-z0-9][\w.-]*(?:\[[^\]]*\])?)\s?(?:[=!~<>]=|[<>]|===)\s?\d\S*"
)
"""A line of a list of versions; ``NAME=value``, as in an environment, is none."""


def names_to_build(said: str) -> tuple[str, ...]:
    """Return the packages without usable wheels that uv names."""
    return tuple(sorted({match["name"] for match in _NO_WHEEL.finditer(said)}))


def shortened(said: str) -> str:
    """Return an installer's words without long lists of versions, and not too many of them."""
    said = re.sub(r"\(from versions: ([^)]*)\)", _last_versions, said)
    lines = [line[:_MAX_LINE].rstrip() for line in _without_lists(said) if line.strip()]
    lines = [line for line in lines if not line.startswith(_UNIMPORTANT)]
    if len(lines) > _MAX_LINES:
        head = _MAX_LINES // 2
        lines = [*lines[:head], "…", *lines[head - _MAX_LINES + 1 :]]
    return "\n".join(lines)


def _last_versions(match: re.Match[str]) -> str:
    versions = match[1].split(", ")
    shown = versions[-_LISTED:]
    more = "…, " if len(shown) < len(versions) else ""
    return f"(from versions: {more}{', '.join(shown)})"


def _without_lists(said: str) -> Iterator[str]:
    """Yield lines; of a list of one package's versions, one a line, only the last ones."""
    pending: list[str] = []
    listed = ""
    for line in [*said.splitlines(), ""]:
        match = _VERSION_LINE.fullmatch(line)
        if match and match["name"] == (listed or match["name"]):
            listed = match["name"]
            pending.append(line)
            continue
        if len(pending) > _LISTED:
            indent = " " * (len(pending[0]) - len(pending[0].lstrip()))
            yield f"{indent}…"
        yield from pending[-_LISTED:]
        pending = [line] if match else []
        listed = match["name"] if match else ""
        if not match:
            yield line
