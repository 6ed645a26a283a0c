"""Validation of values beyond type and range.

Each function returns the value, or raises `ValueError` with the form that it should have.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Final
from urllib.parse import urlsplit

from pydantic import ValidationInfo

from covalent_lambda_container.model.names import CREATOR_TAG, OWN_TAG
from covalent_lambda_container.options.limits import (
    ACCESS_POINT,
    ENVIRONMENT_BYTES,
    HOST_LABEL,
    MAX_TAGS,
    MOUNT_PATH,
    MOUNT_PATH_CHARACTERS,
    RESERVED_VARIABLE,
    TAG_KEY_CHARACTERS,
    TAG_PUNCTUATION,
    TAG_VALUE_CHARACTERS,
    VARIABLE_NAME,
)
from covalent_lambda_container.packages.requirements_files import read_requirement_lines
from covalent_lambda_container.packages.urls import INDEX_SCHEMES, UnusableUrl, checked_url

_OWN_TAGS: Final = (OWN_TAG[0], CREATOR_TAG)
"""Keys of tags that the executor itself adds to functions."""


REQUIREMENTS: Final = "AWSLambdaContainerExecutor option requirements"
CONSTRAINTS: Final = "AWSLambdaContainerExecutor option constraints"
"""The origin of lines, for error messages."""


def check_requirements(requirements: list[str]) -> list[str]:
    """Check that each line is a requirement, or an option that requirements files may have.

    Raises
    ------
    RequirementError
        Names the line.
    """
    read_requirement_lines(requirements, origin=REQUIREMENTS)
    return requirements


def check_constraints(constraints: list[str]) -> list[str]:
    """Check that each line is a constraint.

    Raises
    ------
    RequirementError
        Names the line.
    """
    read_requirement_lines(constraints, origin=CONSTRAINTS, constrain=True)
    return constraints


def check_endpoint(url: str) -> str:
    """Check an endpoint as botocore does, which would name no option."""
    if not url:
        return url
    try:
        parts = urlsplit(checked_url(url, INDEX_SCHEMES))
    except UnusableUrl as exc:
        raise ValueError(str(exc)) from None
    host = (parts.hostname or "").removesuffix(".")
    is_ipv6 = parts.netloc.startswith("[")
    if not is_ipv6 and not all(map(HOST_LABEL.fullmatch, host.split("."))):
        raise ValueError(f"has the host {host}: names consist of letters, digits, '-' and '.'")
    if parts.path.strip("/") or "?" in url or "#" in url:
        raise ValueError("should be http:// or https://, a host and a port, and end there")
    return url


def check_index(url: str) -> str:
    """Check the URL of a package index; an empty string means none."""
    if not url:
        return url
    try:
        return checked_url(url, INDEX_SCHEMES)
    except UnusableUrl as exc:
        raise ValueError(f"{exc}. {exc.hint}".rstrip(". ")) from None


def check_indexes(urls: list[str]) -> list[str]:
    """Check the URLs of package indexes."""
    return [check_index(url) for url in urls]


def check_environment(environment: dict[str, str]) -> dict[str, str]:
    """Check the names of environment variables, and their size as Lambda measures it."""
    for name in environment:
        if RESERVED_VARIABLE.fullmatch(name):
            raise ValueError(f"{name} is reserved by Lambda")
        if not VARIABLE_NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is not a variable name that Lambda accepts: at least two characters, a "
                "letter, then letters, digits and _"
            )
    measured = json.dumps(environment, separators=(",", ":"), ensure_ascii=False)
    size = len(measured.encode(errors="replace"))
    if size > ENVIRONMENT_BYTES:
        raise ValueError(
            f"all variables together have {size} bytes as JSON; Lambda accepts at most "
            f"{ENVIRONMENT_BYTES}"
        )
    return environment


def check_tags(tags: dict[str, str]) -> dict[str, str]:
    """Check the number, length and characters of AWS tags."""
    if len(tags) > MAX_TAGS - len(_OWN_TAGS):
        raise ValueError(
            f"{len(tags)} tags; AWS accepts at most {MAX_TAGS}, of which {len(_OWN_TAGS)} are "
            "the executor's own"
        )
    for key, value in tags.items():
        if key in _OWN_TAGS:
            raise ValueError(f"key {key!r} is one of the executor's own")
        if not 1 <= len(key) <= TAG_KEY_CHARACTERS:
            raise ValueError(f"key {key!r} should have 1 to {TAG_KEY_CHARACTERS} characters")
        if key.lower().startswith("aws:"):
            raise ValueError(f"key {key!r} begins with aws:, which AWS reserves for itself")
        if len(value) > TAG_VALUE_CHARACTERS:
            raise ValueError(
                f"the value of {key!r} should have at most {TAG_VALUE_CHARACTERS} characters"
            )
        for text in (key, value):
            if not all(map(_allowed_in_tag, text)):
                raise ValueError(
                    f"{text!r} should hold only letters, numbers, spaces and {TAG_PUNCTUATION}"
                )
    return tags


def check_security_groups(groups: list[str], others: ValidationInfo) -> list[str]:
    """Check that there are security groups if, and only if, there are subnets."""
    # An invalid subnet is missing here, and has its own message.
    subnets = others.data.get("subnet_ids")
    if subnets is not None and bool(groups) != bool(subnets):
        raise ValueError(f"should be given together with subnet_ids, which is {subnets!r}")
    return groups


def check_file_system(file_system: dict[str, str], others: ValidationInfo) -> dict[str, str]:
    """Check the access point of a file system and where it is mounted."""
    if not file_system:
        return file_system
    if set(file_system) != {"arn", "mount_path"}:
        raise ValueError("should have the keys arn and mount_path, and no others")
    if not ACCESS_POINT.fullmatch(file_system["arn"]):
        raise ValueError(
            "arn should be an access point's, of EFS "
            "(arn:aws:elasticfilesystem:REGION:ACCOUNT:access-point/fsap-…) or of S3 Files "
            "(arn:aws:s3files:REGION:ACCOUNT:file-system/fs-…/access-point/fsap-…)"
        )
    path = file_system["mount_path"]
    if not MOUNT_PATH.fullmatch(path) or len(path) > MOUNT_PATH_CHARACTERS:
        raise ValueError(
            "mount_path should be /mnt/ and a name of letters, digits, -, _ and ., with at "
            f"most {MOUNT_PATH_CHARACTERS} characters in all"
        )
    if others.data.get("subnet_ids") == []:
        raise ValueError("should be given together with subnet_ids and security_group_ids")
    return file_system


def check_max_memory(most_mb: int, others: ValidationInfo) -> int:
    """Check that the limit is not below the memory that a task starts with."""
    memory_mb = others.data.get("memory_size")
    if most_mb and memory_mb and most_mb < memory_mb:
        raise ValueError(f"should be 0, or at least memory_size, which is {memory_mb}")
    return most_mb


def check_prewarm(prewarm: int, others: ValidationInfo) -> int:
    """Check that no more environments are started than Lambda reserves."""
    reserved = others.data.get("reserved_concurrency")
    if reserved and prewarm > reserved:
        raise ValueError(f"should be at most reserved_concurrency, which is {reserved}")
    return prewarm


def _allowed_in_tag(character: str) -> bool:
    return character in TAG_PUNCTUATION or unicodedata.category(character)[0] in "LNZ"
