"""Covalent's own list and dictionary nodes, whose results need no function and no package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.long_values import (
    as_base64,
    pieces_of,
    references_of,
    size_of_pickle,
)
from covalent_lambda_container.covalent_api.pickles import pickled_dict, pickled_list
from covalent_lambda_container.covalent_api.transport import (
    PARTS,
    REQUIRES,
    Origin,
    origins_of,
    transportable,
)

# Functions inside a method of Covalent's Electron, which cloudpickle sends by value.
_ELECTRON_MODULE: Final = "covalent._workflow.electron"

_LIST_NODE: Final = ".<locals>._auto_list_node"

_DICT_NODE: Final = ".<locals>._auto_dict_node"

_SHOWN_CHARACTERS: Final = 64 * 1024
"""Most of an element's text in that of a collection."""


def collection(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TransportableObject | None:
    """Return the result of one of Covalent's own list or dictionary nodes, or None for any other.

    Covalent makes these nodes of every list or dictionary of outputs that goes to an electron. The
    result is put together from the elements' pickles, unopened: it needs no Lambda and none of the
    elements' packages.
    """
    if not isinstance(function, partial) or len(function.args) != 3 or kwargs:
        return None
    node, call_before, call_after = function.args
    if call_before or call_after:
        return None
    kind = _collection_kind(node)
    if not kind:
        return None
    pickles = [(size_of_pickle(argument), pieces_of(argument)) for argument in args]
    strings = [_shortened(argument.object_string) for argument in args]
    if kind == _LIST_NODE:
        pickled, text = pickled_list(pickles), f"[{', '.join(strings)}]"
    elif kind == _DICT_NODE and len(args) == 2:
        pickled, text = pickled_dict(*pickles), f"dict(zip({', '.join(strings)}))"
    else:
        return None
    header = {
        "py_version": node.header["py_version"],
        "cloudpickle_version": node.header["cloudpickle_version"],
        "attrs": {"doc": "", "name": ""},
        **_joined(origins_of(args)),
    }
    return transportable(header, text, as_base64(pickled))


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"


def is_collection(node: TransportableObject) -> bool:
    """Return whether a function is that of one of Covalent's own list or dictionary nodes."""
    return bool(_collection_kind(node))


def _collection_kind(node: TransportableObject) -> str:
    """Return `_LIST_NODE`, `_DICT_NODE`, or nothing for any other function."""
    if node.attrs.get("name") not in ("_auto_list_node", "_auto_dict_node"):
        return ""
    texts = references_of(node).texts
    if _ELECTRON_MODULE not in texts:
        return ""
    kinds = (_LIST_NODE, _DICT_NODE)
    return next((kind for kind in kinds if any(text.endswith(kind) for text in texts)), "")


def _joined(origins: frozenset[Origin]) -> dict[str, Any]:
    """Return the header entries of a value that is made of others."""
    if len(origins) == 1:
        return next(iter(origins)).header
    requirements = {text for origin in origins for text in origin.requirements}
    ordered = sorted(origins, key=lambda origin: (origin.image, origin.requirements))
    return {REQUIRES: sorted(requirements), PARTS: [origin.header for origin in ordered]}
