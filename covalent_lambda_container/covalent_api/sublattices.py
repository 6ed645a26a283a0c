"""Limits for the graph that a sublattice's node sends to Covalent's server.

The node builds the sublattice's graph in Lambda and returns it as an archive, which the server
imports and runs: nodes with the executors, hooks and files that the archive names. A task, or a
package in its image, can write anything there, such as a node for the executor ``local``, which the
server runs on its own machine.
"""

from __future__ import annotations

import base64
import binascii
import json
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.long_values import references_of
from covalent_lambda_container.covalent_api.pickles import (
    is_reference,
    plain_value,
    references,
)
from covalent_lambda_container.covalent_api.transport import pickle_of
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.model.names import SHORT_NAME

_BUILDER: Final = ("covalent._workflow.electron", "_build_sublattice_graph")
ANY: Final = "*"
"""Allows every executor and every hook."""
_LONGEST_BUILDER: Final = 4096
_DEPTH: Final = 6
"""Levels of nested pickles that are searched for hooks."""


@dataclass(frozen=True, kw_only=True)
class SublatticeLimits:
    """The executors, hooks and packages that a sublattice's parent and own lattice allow.

    Parameters
    ----------
    lattice
        The sublattice, as the client pickled it.
    parent
        The parent lattice's metadata as JSON.
    executor
        This executor's options, by name.
    allowed
        Further executors, by name.
    image
        Tag of the image that built its graph.
    pins
        Packages installed there, which its values may require.
    """

    lattice: TransportableObject
    parent: Mapping[str, Any]
    executor: Mapping[str, Any]
    allowed: tuple[str, ...]
    image: str = ""
    pins: frozenset[str] = frozenset()

    @cached_property
    def executors(self) -> frozenset[str]:
        """Names of the executors that its electrons may use."""
        found = references(pickle_of(self.lattice))
        # The names of the lattice's own executors are strings of its pickle; its electrons' are
        # deeper.
        own = {SHORT_NAME, str(self.parent.get("executor")), *self.allowed}
        return frozenset(own | found.texts)

    @cached_property
    def workflow_executors(self) -> frozenset[str]:
        """Names of the executors that its post-processing may use."""
        return self.executors | {str(self.parent.get("workflow_executor"))}

    @cached_property
    def hooks(self) -> frozenset[str]:
        """Pickles of the client's hooks, as base64 text."""
        found = set(objects_in(self.parent))
        waiting = [(pickle_of(self.lattice), 0)]
        while waiting:
            pickled, depth = waiting.pop()
            for text in _texts(pickled):
                if text in found:
                    continue
                found.add(text)
                if depth < _DEPTH and len(text) % 4 == 0 and text.startswith("gA"):
                    try:
                        waiting.append((base64.b64decode(text, validate=True), depth + 1))
                    except binascii.Error:
                        continue
        return frozenset(found)

    @cached_property
    def known_options(self) -> tuple[Mapping[str, Any], ...]:
        """Options of this executor, as the client set them."""
        parents = (
            (self.parent.get(f"{key}_data") or {}).get("attributes")
            for key in ("executor", "workflow_executor")
            if self.parent.get(key) == SHORT_NAME
        )
        return (self.executor, *(options for options in parents if options))


def builds_sublattice(function: TransportableObject) -> bool:
    """Return whether a function is Covalent's own that builds a sublattice's graph."""
    return has_builders_name(function) and _BUILDER in references_of(function).names


def is_exactly_builder(function: TransportableObject) -> bool:
    """Return whether a function is that one and nothing else, whatever its pickle does."""
    return (
        has_builders_name(function)
        and len(function.get_serialized()) <= _LONGEST_BUILDER
        and is_reference(pickle_of(function), _BUILDER)
    )


def has_builders_name(function: TransportableObject) -> bool:
    """Return whether a function may be the one that builds a sublattice's graph: its name is."""
    return bool(function.attrs.get("name") == _BUILDER[1])


def limits_of(
    args: Sequence[TransportableObject],
    executor: Mapping[str, Any],
    allowed: Sequence[str],
    *,
    image: str = "",
    pins: frozenset[str] = frozenset(),
) -> SublatticeLimits:
    """Return a sublattice's limits, from the arguments of the function that builds it.

    Parameters
    ----------
    args
        Arguments of the function.
    executor, allowed, image, pins
        See `SublatticeLimits`.
    """
    try:
        parent = json.loads(plain_value(pickle_of(args[1])))
    except (pickle.UnpicklingError, ValueError, TypeError, IndexError) as exc:
        raise InvocationError("The metadata of a sublattice's parent cannot be read.") from exc
    return SublatticeLimits(
        lattice=args[0],
        parent=parent,
        executor=executor,
        allowed=tuple(allowed),
        image=image,
        pins=pins,
    )


def objects_in(value: Any) -> Iterator[str]:
    """Yield the pickles of all TransportableObjects in JSON, as base64 text."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            if isinstance(each.get("_object"), str):
                yield each["_object"]
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _texts(pickled: bytes) -> Iterable[str]:
    try:
        return references(pickled).texts
    except Exception:
        # Text that is base64, but not a pickle.
        return ()
