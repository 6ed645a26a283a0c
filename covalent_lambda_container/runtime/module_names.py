"""Finds the module that was meant by a name that the image does not have."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

_SIMILAR = 0.8
"""Least similarity of names, from 0 to 1."""


def advice(missing: str, modules: Mapping[str, Sequence[str]]) -> str:
    """Return which module of the image was probably meant, or ``""``.

    Parameters
    ----------
    missing
        The full name, as in ModuleNotFoundError.
    modules
        The image's top-level modules, with the requirements of their distributions.
    """
    top = missing.partition(".")[0]
    same = [name for name in modules if name != top and name.casefold() == top.casefold()]
    if same:
        return f"The image has the module {same[0]}: upper and lower case matter in its name."
    for names, requirement in _by_distribution(modules):
        distribution = requirement.partition("==")[0].partition(" @ ")[0]
        if _canonical(top) in (_canonical(distribution), _without_additions(distribution)):
            return f"The image has {requirement}, from which you import {' or '.join(names)}."
    similar = difflib.get_close_matches(top, modules, n=1, cutoff=_SIMILAR)
    return f"The image has a module {similar[0]}: is the name misspelt?" if similar else ""


def _by_distribution(modules: Mapping[str, Sequence[str]]) -> list[tuple[list[str], str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(modules):
        if not name.startswith("_"):
            for requirement in modules[name]:
                found.setdefault(requirement, []).append(name)
    return [(names[:3], requirement) for requirement, names in sorted(found.items())]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _without_additions(distribution: str) -> str:
    """Return a name without what distributions add to that of their module."""
    name = _canonical(distribution)
    return re.sub(r"^(?:python|py)-|-(?:python|py|headless|binary|cpu|gpu)\b.*$", "", name)
