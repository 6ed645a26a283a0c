"""Requirements as values: PEP 508 requirements with their hashes, constraints and pip options.

Every line has one canonical form, so that equal requirements give the same image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from covalent_lambda_container.errors import RequirementError
from covalent_lambda_container.packages.index_settings import PACKAGE_INDEX
from covalent_lambda_container.packages.urls import (
    PACKAGE_SCHEMES,
    UnusableUrl,
    checked_url,
    without_credentials,
)

ADDRESS_OPTIONS: Final = (
    *("--index-url ", "--extra-index-url ", "--find-links "),
    f"{PACKAGE_INDEX} ",
)
"""Prefixes of the options with addresses of packages."""

_HASH: Final = " --hash="
_DIGEST_LENGTHS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}
# packaging parses quoted marker values as Python literals and does not catch Python's own errors.
_UNREADABLE: Final = (InvalidRequirement, SyntaxError, ValueError)
_UNSPACED_URL: Final = re.compile(r"^([A-Za-z0-9._-]+(?:\[[^\]]*\])?)@ ")
# In a requirements file these start a comment, a variable of the installing machine, and a
# continued line or an escaped character.
_NOT_ITSELF: Final = re.compile(r"(^|\s)#|\$\{|\\")

_NAME_AND_VERSION: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]+(?:\[[^\]]*\])?)\s*[=\s]\s*(?P<version>v?\d[\w.!+-]*)(=\w+)?"
)
"""A pinned package as conda writes it, or without any operator."""

_ALLOWED_HINT: Final = (
    "Write PEP 508 requirements, 'scikit-learn==1.7.2' or 'name @ https://…', optionally with "
    "--hash=sha256:…; of pip's options only --index-url, --extra-index-url, --find-links, "
    "--only-binary, --no-binary, and -r and -c for files."
)


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """Packages to install, and how: canonical lines, sorted and unique.

    Parameters
    ----------
    packages
        PEP 508 requirements, each followed by its hashes: ``"numpy==2.1.0 --hash=sha256:…"``.
    constraints
        The same for packages that are installed only if another package requires them.
    options
        Options of pip, one per line: ``"--only-binary numpy"``.
    """

    packages: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __or__(self, other: Requirements) -> Requirements:
        """Join two sets of requirements.

        Raises
        ------
        RequirementError
            Their options contradict each other.
        """
        options = _sorted(self.options, other.options)
        _check_options(options)
        return Requirements(
            packages=_sorted(self.packages, other.packages),
            constraints=_sorted(self.constraints, other.constraints),
            options=options,
        )


def canonical_requirement(text: str, origin: str, hashes: Iterable[str] = ()) -> str:
    """Return the canonical line of one requirement.

    Parameters
    ----------
    text
        PEP 508 text.
    origin
        The source of the text, for error messages.
    hashes
        ``"sha256:…"``, in any order.

    Raises
    ------
    RequirementError
        The text is not a PEP 508 requirement, or an image cannot contain it: local paths, URLs with
        credentials.
    """
    try:
        requirement = Requirement(text)
    except _UNREADABLE as exc:
        reason = str(exc).splitlines()[0]
        meant = _meant(text)
        hint = f"Did you mean {meant!r}? {_ALLOWED_HINT}" if meant else ""
        raise refusal(origin, text, f"is not a valid requirement: {reason}", hint) from None
    requirement.name = canonicalize_name(requirement.name)
    requirement.extras = {canonicalize_name(extra) for extra in requirement.extras}
    requirement.specifier = SpecifierSet(
        ",".join(_canonical_specifier(part) for part in requirement.specifier)
    )
    try:
        if requirement.url is not None:
            requirement.url = checked_url(requirement.url, PACKAGE_SCHEMES)
        written = sorted({f"{_HASH}{_checked_hash(value)}" for value in hashes})
    except UnusableUrl as exc:
        raise refusal(origin, text, str(exc), exc.hint) from None
    except ValueError as exc:
        raise refusal(origin, text, str(exc)) from None
    if written and not requirement.url and not _is_pinned(requirement):
        raise refusal(origin, text, "has a hash, but no version pinned with ==")
    canonical = text_of(requirement)
    if not canonical.isascii() or not canonical.isprintable():
        raise refusal(origin, text, "contains characters other than printable ASCII")
    if _NOT_ITSELF.search(canonical) or not _is_read_as_written(canonical):
        raise refusal(origin, text, "has a '#', a '${', a '\\' or a quote where it is not allowed")
    return canonical + "".join(written)


def _meant(text: str) -> str:
    """Return the requirement that was meant by ``name=1.0``, ``name 1.0`` or ``name=1.0=build``."""
    match = _NAME_AND_VERSION.fullmatch(text.strip())
    meant = f"{match['name']}=={match['version']}" if match else ""
    try:
        return text_of(Requirement(meant)) if meant else ""
    except _UNREADABLE:
        return ""


def text_of(requirement: Requirement) -> str:
    """Return a requirement's text, independent of the release of packaging.

    Releases before 26 write ``name@ URL``, later ones ``name @ URL``; the text is part of an
    image's identity.
    """
    return _UNSPACED_URL.sub(r"\1 @ ", str(requirement))


def parsed(line: str) -> Requirement:
    """Return the PEP 508 part of a canonical line."""
    return Requirement(without_hashes(line))


def has_hash(line: str) -> bool:
    """Return whether a canonical line has hashes."""
    return _HASH in line


def without_hashes(line: str) -> str:
    """Return the PEP 508 part of a canonical line as text, for people."""
    return line.partition(_HASH)[0]


def as_constraint(line: str) -> str:
    """Return the constraint that keeps a package at the version of a canonical line."""
    requirement = parsed(line)
    requirement.extras = set()
    return text_of(requirement)


def refusal(origin: str, line: str, reason: str, hint: str = "") -> RequirementError:
    """Return the error for a line that cannot be used, without any credentials of its URL."""
    return RequirementError(
        f"{origin}: {without_credentials(line)!r} {without_credentials(reason)}.",
        hint=hint or _ALLOWED_HINT,
    )


def _checked_hash(value: str) -> str:
    algorithm, _, digest = value.lower().partition(":")
    digits = _DIGEST_LENGTHS.get(algorithm)
    if digits is None or not re.fullmatch(f"[0-9a-f]{{{digits}}}", digest):
        raise ValueError(
            f"has the hash {value!r}, where pip accepts sha256, sha384 or sha512, a colon, and the "
            "whole digest in hexadecimal"
        )
    return f"{algorithm}:{digest}"


def _check_options(options: Iterable[str]) -> None:
    """Refuse options that contradict each other."""
    given: dict[str, set[str]] = {}
    for line in options:
        option, _, value = line.partition(" ")
        given.setdefault(option, set()).add(value)
    indexes = given.get("--index-url", set())
    if len(indexes) > 1:
        raise RequirementError(
            f"The requirements name {len(indexes)} addresses as --index-url: "
            f"{', '.join(sorted(indexes))}.",
            hint="Keep one, and pass the others as --extra-index-url.",
        )
    bound: dict[str, str] = {}
    for value in sorted(given.get(PACKAGE_INDEX, set())):
        name, _, url = value.partition("=")
        if bound.setdefault(name, url) != url:
            raise RequirementError(
                f"The requirements have two indexes for the package {name}: {bound[name]}, {url}.",
                hint="Keep one of the two.",
            )
    for name in sorted(given.get("--no-binary", set()) & given.get("--only-binary", set())):
        raise RequirementError(
            f"The requirements have both --no-binary {name} and --only-binary {name}.",
            hint="Keep one of the two.",
        )


def _canonical_specifier(part: Specifier) -> str:
    """Return a version clause, normalised as in PEP 440: ``1.0RC1`` becomes ``1.0rc1``."""
    if part.operator == "===" or part.version.endswith(".*"):
        return str(part)
    return f"{part.operator}{Version(part.version)}"


def _is_read_as_written(canonical: str) -> bool:
    # A quote in the text of a marker would end it.
    try:
        return text_of(Requirement(canonical)) == canonical
    except _UNREADABLE:
        return False


def _is_pinned(requirement: Requirement) -> bool:
    return any(
        part.operator in ("==", "===") and not part.version.endswith(".*")
        for part in requirement.specifier
    )


def _sorted(*groups: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({line for group in groups for line in group}))
