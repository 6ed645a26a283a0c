"""What an image and a function are, as values whose identity is their content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import Specifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from covalent_lambda_container.errors import RequirementError, VersionMismatch

TAG_LENGTH: Final = 32
"""Hexadecimal digits of an image's identity used as its ECR tag (128 bits)."""

_COMMENT = re.compile(r"(^|\s+)#.*$")
_VERSION = re.compile(r"[0-9][0-9A-Za-z.!+_-]*")


@dataclass(frozen=True, kw_only=True)
class ImageSpec:
    """What one image must contain.

    Two specs with equal content have the same `tag` on every machine; nothing about time, host or
    path takes part.

    Parameters
    ----------
    python_version
        Minor version, ``"3.11"``: the client's, since pickles of functions hold its byte code.
    architecture
        ``"x86_64"`` or ``"arm64"``.
    base_image
        Reference of the root image, as written. A tag stands for whatever it named when the image
        was built; write ``NAME@sha256:…`` to make the root's bytes part of the identity.
    requirements
        Canonical PEP 508 texts, sorted, without duplicates: see `canonical_requirements`.
    cloudpickle_version
        The client's, since it wrote the pickles that the image reads.
    covalent_version
        The client's, for tasks that refer to Covalent's SDK; empty for all others.
    commands
        Shell commands that are part of the build, in their order.
    recipe
        SHA-256, hexadecimal, of the templates and runtime files that make the image.
    """

    python_version: str
    architecture: str
    base_image: str
    requirements: tuple[str, ...]
    cloudpickle_version: str
    covalent_version: str = ""
    commands: tuple[str, ...] = ()
    recipe: str

    def __post_init__(self) -> None:
        # These come with the task and are written into files of the build.
        for field in ("python_version", "cloudpickle_version", "covalent_version"):
            version = getattr(self, field)
            if version and not _VERSION.fullmatch(version):
                raise VersionMismatch(f"The task's {field} {version!r} is not a version.")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical JSON of all fields, hexadecimal."""
        return _digest(asdict(self))

    @property
    def tag(self) -> str:
        """The image's tag in ECR."""
        return self.digest[:TAG_LENGTH]


@dataclass(frozen=True, kw_only=True)
class ImageReference:
    """An image that is in the registry.

    Parameters
    ----------
    repository_uri
        Host and repository, ``"123456789012.dkr.ecr.us-east-1.amazonaws.com/covalent-lambda"``.
    digest
        ``"sha256:…"`` of its manifest.
    """

    repository_uri: str
    digest: str

    @property
    def uri(self) -> str:
        """``repository@sha256:…``: what functions are created from."""
        return f"{self.repository_uri}@{self.digest}"


@dataclass(frozen=True, kw_only=True)
class FunctionSpec:
    """What one Lambda function is: an image and a configuration.

    Parameters
    ----------
    image
        The image, by digest.
    architecture
        ``"x86_64"`` or ``"arm64"``.
    role_arn
        Execution role.
    memory_mb, timeout_s, ephemeral_storage_mb
        Lambda's limits for one invocation.
    environment
        Name and value pairs, sorted.
    tags
        AWS tags, name and value pairs, sorted.
    subnet_ids, security_group_ids
        The function's place in a VPC, sorted; empty for a function outside of one.
    file_system_arn, mount_path
        EFS access point and where it is mounted; empty for none.
    kms_key_arn
        Key that encrypts environment and image; empty for AWS's own.
    reserved_concurrency
        Executions that Lambda reserves for the function and does not let it exceed; 0 for none.
    """

    image: ImageReference
    architecture: str
    role_arn: str
    memory_mb: int
    timeout_s: int
    ephemeral_storage_mb: int
    environment: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]
    subnet_ids: tuple[str, ...] = ()
    security_group_ids: tuple[str, ...] = ()
    file_system_arn: str = ""
    mount_path: str = ""
    kms_key_arn: str = ""
    reserved_concurrency: int = 0

    @cached_property
    def name(self) -> str:
        """The function's name: ``covalent-<image>-<configuration>``.

        At most 64 characters, as Lambda's CreateFunction asks (API reference, read 2026-11).
        """
        image = hashlib.sha256(self.image.uri.encode()).hexdigest()
        return f"covalent-{image[:16]}-{_digest(asdict(self))[:16]}"


def canonical_requirements(requirements: Iterable[str], *, origin: str) -> tuple[str, ...]:
    """Validate requirements and bring them into their one canonical form.

    Parameters
    ----------
    requirements
        PEP 508 texts, such as ``"scikit-learn==1.5.2"``.
    origin
        Where they were written, for the error: ``"DepsPip"``, ``"requirements"``.

    Returns
    -------
    tuple of str
        Sorted and without duplicates; names normalised as PEP 503 says.

    Raises
    ------
    RequirementError
        For text that is not a PEP 508 requirement.
    """
    return tuple(sorted({_canonical(text, origin) for text in requirements}))


def read_requirements_text(text: str, *, origin: str) -> tuple[str, ...]:
    """Read the content of a requirements file.

    Comments, blank lines and line continuations are understood; pip's options are not.

    Parameters
    ----------
    text
        Content of the file.
    origin
        Name used in errors, followed by the line number.

    Raises
    ------
    RequirementError
        For a line that is no PEP 508 requirement.
    """
    requirements = []
    pending = ""
    first_line = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if not pending:
            first_line = number
        if line.endswith("\\") and not _COMMENT.search(line):
            pending += line[:-1]
            continue
        stripped = _COMMENT.sub("", pending + line).strip()
        pending = ""
        if stripped:
            requirements.append(_canonical(stripped, f"{origin}, line {first_line}"))
    if pending.strip():
        requirements.append(_canonical(pending.strip(), f"{origin}, line {first_line}"))
    return tuple(sorted(set(requirements)))


def with_required(own: Iterable[str], required: Iterable[str]) -> tuple[str, ...]:
    """Join a task's own requirements with those of the values it unpickles.

    Its own win: what it names itself is left as it says. Of two versions that values require of
    one package, the newer is taken, since newer packages read what older ones wrote.

    Parameters
    ----------
    own
        Canonical requirements of the task.
    required
        Canonical requirements of the form ``name==version`` or ``name @ url``.
    """
    named = {Requirement(text).name for text in own}
    chosen: dict[str, Requirement] = {}
    for requirement in map(Requirement, required):
        rival = chosen.get(requirement.name)
        if requirement.name not in named and (rival is None or _newer(requirement, rival)):
            chosen[requirement.name] = requirement
    return tuple(sorted({*own, *map(str, chosen.values())}))


def sorted_pairs(mapping: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return a mapping's items in the order that identities use."""
    return tuple(sorted(mapping.items()))


def _canonical_specifier(part: Specifier) -> str:
    """Return a version clause with its version as PEP 440 writes it: ``1.0RC1`` is ``1.0rc1``."""
    if part.operator == "===" or part.version.endswith(".*"):
        return str(part)
    return f"{part.operator}{Version(part.version)}"


def _newer(one: Requirement, other: Requirement) -> bool:
    return _pinned(one) > _pinned(other)


def _pinned(requirement: Requirement) -> tuple[Version, str]:
    versions = [Version(part.version) for part in requirement.specifier if part.operator == "=="]
    return max(versions, default=Version("0")), str(requirement)


def _canonical(text: str, origin: str) -> str:
    if text.startswith("-"):
        raise RequirementError(
            f"{origin}: pip option {text!r} cannot be used in an image.",
            hint="List packages only, one PEP 508 requirement each: 'scikit-learn==1.5.2'.",
        )
    try:
        requirement = Requirement(text)
    except InvalidRequirement as exc:
        raise RequirementError(
            f"{origin}: {text!r} is not a valid requirement: {str(exc).splitlines()[0]}.",
            hint="Write it as PEP 508 says: 'scikit-learn==1.5.2', 'name @ https://…'.",
        ) from exc
    requirement.name = canonicalize_name(requirement.name)
    requirement.extras = {canonicalize_name(extra) for extra in requirement.extras}
    requirement.specifier = SpecifierSet(
        ",".join(_canonical_specifier(part) for part in requirement.specifier)
    )
    canonical = str(requirement)
    if canonical.endswith("\\"):
        raise RequirementError(f"{origin}: {text!r} ends in a backslash.")
    if not canonical.isascii() or not canonical.isprintable():
        raise RequirementError(
            f"{origin}: {text!r} contains characters other than printable ASCII."
        )
    return canonical


def _digest(content: Mapping[str, Any]) -> str:
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()
