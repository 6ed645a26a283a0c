"""What an image and a function are, as values whose identity is their content."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

from covalent_lambda_container.errors import VersionMismatch
from covalent_lambda_container.model.names import FUNCTION_PREFIX, TAG_LENGTH
from covalent_lambda_container.packages.local_packages import LocalPackage

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
        Canonical PEP 508 texts with their hashes, sorted, without duplicates: see
        `covalent_lambda_container.packages.requirements`.
    cloudpickle_version
        The client's, since it wrote the pickles that the image reads.
    covalent_version
        The client's, for tasks that refer to Covalent's SDK; empty for all others.
    commands, late_commands
        Shell commands that are part of the build, in their order: those before and those after
        the packages are installed.
    constraints
        The same, for packages that are installed only if others ask for them.
    install_options
        Options of pip, one a line, canonical and sorted: ``"--only-binary numpy"``.
    flexible
        Those of `requirements` that only values have brought along: their versions are left open
        where they cannot be installed beside the others.
    recipe
        SHA-256, hexadecimal, of the templates and runtime files that make the image.
    local_packages
        The user's own code, sorted by name.
    """

    python_version: str
    architecture: str
    base_image: str
    requirements: tuple[str, ...]
    cloudpickle_version: str
    covalent_version: str = ""
    commands: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    install_options: tuple[str, ...] = ()
    flexible: tuple[str, ...] = ()
    late_commands: tuple[str, ...] = ()
    recipe: str
    local_packages: tuple[LocalPackage, ...] = ()

    def __post_init__(self) -> None:
        # These come with the task and are written into files of the build.
        for field in ("python_version", "cloudpickle_version", "covalent_version"):
            version = getattr(self, field)
            if version and not _VERSION.fullmatch(version):
                raise VersionMismatch(f"The task's {field} {version!r} is not a version.")

    @property
    def json(self) -> str:
        """Canonical JSON of all fields; packages of the user's own by name and digest."""
        own = {package.name: package.digest for package in self.local_packages}
        fields = asdict(replace(self, local_packages=())) | {"local_packages": own}
        # So that it is one image whether a task or a value asks for nothing else, and that images
        # of older releases stay.
        for name in ("flexible", "late_commands"):
            if not fields[name]:
                del fields[name]
        return _canonical_json(fields)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of `json`, hexadecimal."""
        return hashlib.sha256(self.json.encode()).hexdigest()

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
        Access point of EFS or S3 Files, and where it is mounted; empty for none.
    kms_key_arn
        Key that encrypts environment and image; empty for AWS's own.
    reserved_concurrency
        Executions that Lambda reserves for the function and does not let it exceed; 0 for none.
    owner
        ARN of the only identity whose tasks it runs; empty for all.
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
    owner: str = ""

    @cached_property
    def name(self) -> str:
        """The function's name: ``covalent-<image>-<configuration>``.

        At most 64 characters, as Lambda's CreateFunction asks (API reference, read 2026-11).
        """
        image = hashlib.sha256(self.image.uri.encode()).hexdigest()
        content = asdict(self)
        if not self.owner:
            # Functions that all share keep the names that they had before there were owners.
            del content["owner"]
        return f"{FUNCTION_PREFIX}{image[:16]}-{_digest(content)[:16]}"


def sorted_pairs(mapping: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return a mapping's items in the order that identities use."""
    return tuple(sorted(mapping.items()))


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical_json(content).encode()).hexdigest()


def _canonical_json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
