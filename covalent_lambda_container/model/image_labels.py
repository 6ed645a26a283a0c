"""Names and labels that builds give to images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

BASE_REPOSITORY: Final = "covalent-lambda-base"
PACKAGES_REPOSITORY: Final = "covalent-lambda-packages"
"""Names in the engine, without tags, of the images below task images."""

SPEC_LABEL: Final = "covalent-lambda.spec"
"""JSON of the spec that an image was built from."""
PACKAGES_LABEL: Final = "covalent-lambda.packages"
"""JSON of the installed distributions: ``{"numpy==2.1.0": bytes, …}``."""


@dataclass(frozen=True, kw_only=True)
class ImageContents:
    """The contents of an image.

    Parameters
    ----------
    spec
        Fields of its `ImageSpec`, as the release that built it defined them.
    packages
        Every installed distribution, pinned, with its size in bytes.
    """

    spec: Mapping[str, Any]
    packages: Mapping[str, int]

    @property
    def lock(self) -> str:
        """A requirements file that pins every distribution."""
        return "".join(f"{line}\n" for line in sorted(self.packages))


def packages_label(packages: Mapping[str, int]) -> dict[str, str]:
    """Return the label with the installed distributions."""
    return {PACKAGES_LABEL: json.dumps(packages, sort_keys=True)}


def spec_label(spec_json: str) -> dict[str, str]:
    """Return the label with an image's spec."""
    return {SPEC_LABEL: spec_json}


def contents(labels: Mapping[str, str]) -> ImageContents | None:
    """Return an image's contents from its labels, or None if they have none."""
    if SPEC_LABEL not in labels or PACKAGES_LABEL not in labels:
        return None
    return ImageContents(
        spec=json.loads(labels[SPEC_LABEL]), packages=json.loads(labels[PACKAGES_LABEL])
    )
