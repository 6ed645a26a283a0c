"""What the values of a task require: joined with what the task itself names, or left open."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from covalent_lambda_container.packages.requirements import parsed, text_of

_OPPOSITES: Final = {"--no-binary": "--only-binary", "--only-binary": "--no-binary"}
# Hexadecimal digits of the digests that pip accepts ("Hash-checking mode", pip's documentation).


def with_required(own: Iterable[str], required: Iterable[str]) -> tuple[str, ...]:
    """Join a task's own requirements with those of the values it unpickles.

    The task's own requirements win. If values require two versions of one package, the newer is
    used, since newer packages read what older ones wrote.

    Parameters
    ----------
    own
        Canonical requirements of the task.
    required
        Canonical requirements of the form ``name==version`` or ``name @ url``.
    """
    named = {parsed(line).name for line in own}
    chosen: dict[str, Requirement] = {}
    for requirement in map(parsed, required):
        rival = chosen.get(requirement.name)
        if requirement.name not in named and (rival is None or _newer(requirement, rival)):
            chosen[requirement.name] = requirement
    return tuple(sorted({*own, *map(text_of, chosen.values())}))


def joined_options(own: Iterable[str], *others: Iterable[str]) -> tuple[str, ...]:
    """Join a task's options of pip with those that found the packages of its values.

    The task's own go first: another index is one more index, and what contradicts them is left out.
    """
    joined = set(own)
    for line in sorted({line for lines in others for line in lines} - joined):
        option, _, value = line.partition(" ")
        if option == "--index-url":
            joined.add(f"--extra-index-url {value}")
        elif f"{_OPPOSITES.get(option)} {value}" not in joined:
            joined.add(line)
    return tuple(sorted(joined))


def left_open(line: str) -> str:
    """Return a requirement of a value without its version; of a local version, the public one.

    A version such as torch's ``2.3.0+cpu`` names a build that only some indexes have.
    """
    requirement = parsed(line)
    if requirement.url:
        return line
    (pin, *_) = [part.version for part in requirement.specifier] or [""]
    public, plus, _ = pin.partition("+")
    requirement.specifier = SpecifierSet(f"=={public}" if plus else "")
    return text_of(requirement)


def _newer(one: Requirement, other: Requirement) -> bool:
    return _pinned(one) > _pinned(other)


def _pinned(requirement: Requirement) -> tuple[Version, str]:
    versions = [Version(part.version) for part in requirement.specifier if part.operator == "=="]
    return max(versions, default=Version("0")), text_of(requirement)
