"""Requirements of a task's values: joined with the task's own, or without their versions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from covalent_lambda_container.packages.index_settings import PACKAGE_INDEX
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
    """Join a task's pip options with those that located its values' packages.

    The task's own come first: a different index becomes an extra index, and contradictory options
    are dropped.
    """
    joined = set(own)
    bound = {_package_of(line) for line in own} - {""}
    for line in sorted({line for lines in others for line in lines} - joined):
        option, _, value = line.partition(" ")
        if option == "--index-url":
            joined.add(f"--extra-index-url {value}")
        elif _package_of(line) in bound:
            continue
        elif f"{_OPPOSITES.get(option)} {value}" not in joined:
            joined.add(line)
            bound |= {_package_of(line)} - {""}
    return tuple(sorted(joined))


def _package_of(line: str) -> str:
    """Return the package that an option binds to an index, or ``""``."""
    option, _, value = line.partition(" ")
    return value.partition("=")[0] if option == PACKAGE_INDEX else ""


def left_open(line: str) -> str:
    """Return a value's requirement without its version, or without only the local version.

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
