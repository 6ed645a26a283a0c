"""Covalent's TransportableObject, parsed and assembled unopened."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.packages.requirements import canonical_requirement

REQUIRES: Final = "requires"
"""Key in a TransportableObject's header: requirements for unpickling the value."""


MADE_IN: Final = "image"
"""Key in a TransportableObject's header: tag of the image in which the value was made."""

MADE_BY: Final = "node"
"""Key in a TransportableObject's header: the node that made the value, for people."""

PARTS: Final = "parts"
"""Key in a TransportableObject's header: for a value made of others, a list of their
``{"requires", "image", "node"}``."""

_PIECE_CHARACTERS: Final = 4 * 256 * 1024
"""A multiple of four, so that each piece of base64 can be decoded separately."""

_MOST_REQUIREMENTS: Final = 1024
_LONGEST_REQUIREMENT: Final = 512
_READ_AS_CHARACTERS: Final = 1024
"""Reading a requirement takes as long as reading that many characters of a pickle."""


USAGE: Final = "usage"
"""Key in a TransportableObject's header: usage and id (``"DISPATCH_ID:NODE_ID"``) of the task that
made the value."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """The origin of a value.

    Parameters
    ----------
    requirements
        Canonical requirements for unpickling it.
    image
        Tag of the image in which it was made; empty if it was made outside of images.
    node
        The node that made it, for people: ``"make (node 0)"``; empty if it is not known.
    """

    requirements: tuple[str, ...]
    image: str
    node: str = field(default="", compare=False)

    @property
    def header(self) -> dict[str, Any]:
        """The entries of a value's header for its origin."""
        return {REQUIRES: list(self.requirements), MADE_IN: self.image, MADE_BY: self.node}


def is_transportable(value: Any) -> bool:
    """Return whether a value is a TransportableObject."""
    return isinstance(value, TransportableObject)


def transportable(header: dict[str, Any], text: str, pickled: str) -> TransportableObject:
    """Assemble the TransportableObject that Covalent stores from its parts.

    Parameters
    ----------
    header
        Header in the form of Covalent's TransportableObject.
    text
        The value's ``str``, which Covalent shows.
    pickled
        Base64 text of the value's pickle.
    """
    # The constructor would pickle a value.
    shell = TransportableObject.__new__(TransportableObject)
    shell._header = header
    shell._object_string = text
    shell._object = pickled
    return shell


def origins_of(values: Sequence[TransportableObject]) -> frozenset[Origin]:
    """Return the origins of values that need packages, from their headers.

    Raises
    ------
    InvocationError
        A header does not have the form that this project gives it.
    RequirementError
        A header requires something that no image can contain.
    """
    found = set()
    for value in values:
        parts = value.header.get(PARTS)
        for part in parts if isinstance(parts, list) else [value.header]:
            said = part if isinstance(part, Mapping) else {REQUIRES: part}
            required = said.get(REQUIRES)
            image, node = said.get(MADE_IN, ""), said.get(MADE_BY, "")
            if not required:
                continue
            _check(required, image, node)
            requirements = tuple(sorted({_canonical(text) for text in required}))
            found.add(Origin(requirements=requirements, image=image, node=node))
    return frozenset(found)


def without_origin(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header without the entries on a value's origin that only the dispatcher may set."""
    return {key: header[key] for key in header if key not in (MADE_IN, MADE_BY, PARTS)}


def header_size(value: TransportableObject) -> int:
    """Return about how many characters a header's requirements have."""
    parts = value.header.get(PARTS)
    lists = [part.get(REQUIRES) for part in parts] if isinstance(parts, list) else []
    lists.append(value.header.get(REQUIRES))
    return _READ_AS_CHARACTERS * sum(len(each) for each in lists if isinstance(each, list))


def _check(required: Any, image: Any, node: Any) -> None:
    usable = (
        isinstance(required, list)
        and len(required) <= _MOST_REQUIREMENTS
        and all(isinstance(text, str) and len(text) <= _LONGEST_REQUIREMENT for text in required)
        and isinstance(image, str)
        and isinstance(node, str)
    )
    if not usable:
        raise InvocationError(
            f"An argument's header has {REQUIRES!r} or {MADE_IN!r} in a form that cannot be used: "
            f"a list of at most {_MOST_REQUIREMENTS} requirements of up to {_LONGEST_REQUIREMENT} "
            "characters, and a string, are expected.",
            hint="A task, or a package in its image, may have forged it.",
        )


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    return canonical_requirement(text, "An argument's header")


def pickle_of(transportable_object: TransportableObject) -> bytes:
    """Return a value's pickle, unopened.

    Large ones are decoded in pieces: the decoder holds the interpreter's lock, which the event loop
    also needs.
    """
    text = transportable_object.get_serialized()
    if len(text) <= _PIECE_CHARACTERS:
        return base64.b64decode(text)
    starts = range(0, len(text), _PIECE_CHARACTERS)
    return b"".join(base64.b64decode(text[start : start + _PIECE_CHARACTERS]) for start in starts)
