"""Names and tags of everything that this project creates, each defined once."""

from __future__ import annotations

import re
from typing import Final

SHORT_NAME: Final = "awslambda_container"
"""The executor's name in Covalent: ``executor="awslambda_container"``."""
SECTION: Final = f"executors.{SHORT_NAME}"
"""The section of Covalent's configuration that holds the executor's options."""

FUNCTION_PREFIX: Final = "covalent-"
"""Prefix of the names of all functions."""
OBJECT_PREFIX: Final = "covalent-lambda/"
"""Prefix of the keys of all S3 objects."""

OWN_TAG: Final = ("made-by", "covalent-lambda-container")
"""Key and value of the AWS tag on every resource that this project creates and may delete."""
CREATOR_TAG: Final = "made-by-identity"
"""Key of the AWS tag with the ARN of a function's creator."""

TAG_LENGTH: Final = 32
"""Hexadecimal digits of an image's identity used as its ECR tag (128 bits)."""
REVISIONS: Final = 100
"""Images that one tag can have: the first one and its rebuilds. ECR describes up to 100 images in
one call ("BatchGetImage", ECR API reference, read 2026-11)."""

_REVISION: Final = re.compile(r"-r[0-9]+")
_IMAGE_TAG: Final = re.compile(rf"[0-9a-f]{{{TAG_LENGTH}}}(?:{_REVISION.pattern})?")


def is_image_tag(tag: str) -> bool:
    """Return whether an ECR tag has the form of this project's images, a rebuild's included."""
    return _IMAGE_TAG.fullmatch(tag) is not None


def revised_tag(tag: str, number: int) -> str:
    """Return the ECR tag of a rebuild: ``TAG-r2``; number 0 is the first image, ``TAG``."""
    return f"{tag}-r{number}" if number else tag


def first_tag(tag: str) -> str:
    """Return the tag of the first image for a rebuild's tag, or the tag itself."""
    return re.sub(rf"{_REVISION.pattern}$", "", tag)


ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}
"""Lambda's name for each processor, and the name that container images use."""


def lambda_architecture(container_architecture: str) -> str:
    """Return Lambda's name for a processor; the engine's name if Lambda lacks it."""
    known = {theirs: ours for ours, theirs in ARCHITECTURES.items()}
    return known.get(container_architecture, container_architecture)
