"""Who wrote a node's function: the user, or Covalent, which adds nodes to a workflow's graph."""

from __future__ import annotations

import enum
from typing import Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.long_values import references_of
from covalent_lambda_container.covalent_api.post_processing import is_post_processing
from covalent_lambda_container.covalent_api.sublattices import builds_sublattice

_OPERATION: Final = "Electron.get_op_function.<locals>."


class NodeKind(enum.Enum):
    """What a node runs."""

    USERS = "an electron's function"
    SUBLATTICE = "Covalent's function that builds a sublattice's graph"
    POST_PROCESSING = "Covalent's function that puts a lattice's result together"
    OPERATION = "Covalent's function for an operation between outputs"


def kind_of(function: TransportableObject) -> NodeKind:
    """Return what a node's function is, read from its pickle."""
    if builds_sublattice(function):
        return NodeKind.SUBLATTICE
    if is_post_processing(function):
        return NodeKind.POST_PROCESSING
    texts = references_of(function).texts
    if any(text.startswith(_OPERATION) for text in texts):
        return NodeKind.OPERATION
    return NodeKind.USERS
