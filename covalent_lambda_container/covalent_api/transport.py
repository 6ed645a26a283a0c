"""Covalent's TransportableObject taken apart and put together, unopened."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.packages.requirements import canonical_requirements

REQUIRES: Final = "requires"
"""Key in a TransportableObject's header: requirements of whoever unpickles the value."""


MADE_IN: Final = "image"
"""Key in a TransportableObject's header: tag of the image in which the value was made."""


USAGE: Final = "usage"
"""Key in a TransportableObject's header: what the task that made the value used."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value comes from.

    Parameters
    ----------
    requirements
        Canonical requirements of whoever unpickles it.
    image
        Tag of the image in which it was made; empty if it was made of values of several images, or
        in none.
    """

    requirements: tuple[str, ...]
    image: str


def is_transportable(value: Any) -> bool:
    """Tell whether a value is a TransportableObject."""
    return isinstance(value, TransportableObject)


def transportable(header: dict[str, Any], text: str, pickled: str) -> TransportableObject:
    """Make the TransportableObject Covalent stores, from its parts.

    Parameters
    ----------
    header
        As Covalent's TransportableObject has it.
    text
        ``str`` of the value, which Covalent shows.
    pickled
        Base64 text of the value's pickle.
    """
    # Its constructor would pickle a value.
    shell = TransportableObject.__new__(TransportableObject)
    shell._header = header
    shell._object_string = text
    shell._object = pickled
    return shell


def origins_of(values: Sequence[TransportableObject]) -> frozenset[Origin]:
    found = set()
    for value in values:
        required = value.header.get(REQUIRES, ())
        if required:
            requirements = canonical_requirements(required, origin="An argument's header")
            found.add(Origin(requirements=requirements, image=value.header.get(MADE_IN, "")))
    return frozenset(found)


def pickle_of(transportable_object: TransportableObject) -> bytes:
    return base64.b64decode(transportable_object.get_serialized())
