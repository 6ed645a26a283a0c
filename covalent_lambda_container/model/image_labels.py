"""What an image says of itself: the names and labels that its builds leave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

BASE_REPOSITORY: Final = "covalent-lambda-base"
PACKAGES_REPOSITORY: Final = "covalent-lambda-packages"
"""In the engine, the names of what task images are made on, up to their tags."""

SPEC_LABEL: Final = "covalent-lambda.spec"
"""JSON of the spec that an image was made from."""
PACKAGES_LABEL: Final = "covalent-lambda.packages"
"""JSON of what was installed: ``{"numpy==2.1.0": bytes, …}``."""


@dataclass(frozen=True, kw_only=True)
class ImageContents:
    """What is in an image.

    Parameters
    ----------
    spec
        Fields of its `ImageSpec`; those of the release that made it.
    packages
        Every distribution that was installed, pinned, and the bytes that it takes.
    """

    spec: Mapping[str, Any]
    packages: Mapping[str, int]

    @property
    def lock(self) -> str:
        """A requirements file that pins every distribution."""
        return "".join(f"{line}\n" for line in sorted(self.packages))


def packages_label(packages: Mapping[str, int]) -> dict[str, str]:
    """Return the label of what was installed."""
    return {PACKAGES_LABEL: json.dumps(packages, sort_keys=True)}


def spec_label(spec_json: str) -> dict[str, str]:
    """Return the label of what an image was made from."""
    return {SPEC_LABEL: spec_json}


def contents(labels: Mapping[str, str]) -> ImageContents | None:
    """Return what an image's labels say, or None for an image that was made in another way."""
    if SPEC_LABEL not in labels or PACKAGES_LABEL not in labels:
        return None
    return ImageContents(
        spec=json.loads(labels[SPEC_LABEL]), packages=json.loads(labels[PACKAGES_LABEL])
    )
