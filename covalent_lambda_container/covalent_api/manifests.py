"""What Covalent's server says of a dispatch: its manifest, and the nodes in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import Any

from covalent._results_manager.results_manager import get_result_manager

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import SHORT_NAME

Manifest = dict[str, Any]
Node = dict[str, Any]
"""``id``, ``metadata`` and ``assets`` of a node, as a manifest has them."""


def manifest_of(dispatch_id: str, address: str) -> Manifest:
    """Return the manifest of a dispatch.

    Raises
    ------
    MissingLatticeRecordError, RequestException
        As Covalent's client does.
    """
    with tempfile.TemporaryDirectory(prefix="covalent-lambda-") as folder:
        manager = get_result_manager(dispatch_id, folder, dispatcher_addr=address)
        manifest: Manifest = manager._manifest
        return manifest


def nodes_of(
    dispatch_id: str, address: str, manifest: Manifest, *, node_id: int | None = None
) -> Iterator[tuple[str, Node]]:
    """Yield the nodes on the executor with their dispatch, those of sublattices included.

    Parameters
    ----------
    dispatch_id, address, manifest
        The dispatch, and the server that has it.
    node_id
        Only this node of it, with those of its sublattice; None for all.

    Raises
    ------
    ConfigurationError
        There is no such node on the executor.
    """
    nodes = manifest["lattice"]["transport_graph"]["nodes"]
    if node_id is not None:
        own = [node for node in nodes if _is_ours(node)]
        nodes = [node for node in own if int(node["id"]) == node_id]
        if not nodes:
            names = ", ".join(f"{node['id']} ({node['metadata']['name']})" for node in own)
            raise ConfigurationError(
                f"Dispatch {dispatch_id!r} has no node {node_id} on this executor.",
                hint=f"Its nodes there: {names or 'none'}.",
            )
    for node in nodes:
        if node["metadata"]["executor"] == SHORT_NAME:
            yield dispatch_id, node
        if node["metadata"].get("sub_dispatch_id"):
            below = str(node["metadata"]["sub_dispatch_id"])
            yield from nodes_of(below, address, manifest_of(below, address))


def _is_ours(node: Node) -> bool:
    metadata = node["metadata"]
    return bool(metadata["executor"] == SHORT_NAME or metadata.get("sub_dispatch_id"))


def word_of(status: Any) -> str:
    """Return a state as a word: Covalent wraps a member of an enumeration, or has it as it is."""
    member = getattr(status, "STATUS", status)
    return str(getattr(member, "value", member))
