"""The nodes of a dispatch, as Covalent's server stores them: state, times and usage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from covalent_lambda_container.covalent_api.stored_dispatch import StoredNode, stored_dispatch


@dataclass(frozen=True, kw_only=True)
class DispatchNode:
    """An electron that ran, or will run, on the executor.

    Parameters
    ----------
    dispatch_id, node_id, name
        Covalent's identifiers of the node, and its name.
    state
        ``"COMPLETED"``, ``"FAILED"``, ``"RUNNING"``, …
    started, ended
        When the executor was called, and when it returned; None if it has not yet.
    attributes
        The executor's options.
    header
        Of the result's TransportableObject; empty without a result.
    stderr, error
        What the task wrote there, and what failed; read only when there is no header.
    """

    dispatch_id: str
    node_id: int
    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    attributes: Mapping[str, Any]
    header: Mapping[str, Any]
    stderr: str
    error: str


@dataclass(frozen=True, kw_only=True)
class DispatchRecord:
    """A dispatch and its nodes on the executor, those of sublattices included."""

    dispatch_id: str
    name: str
    state: str
    nodes: tuple[DispatchNode, ...]


def read_nodes(dispatch_id: str, server: str | None = None) -> DispatchRecord:
    """Return a dispatch with its electrons on the executor, finished or not.

    Parameters
    ----------
    dispatch_id
        As `covalent.dispatch` returned it.
    server
        URL of Covalent's server; default: that of Covalent's configuration.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch.
    """
    with stored_dispatch(dispatch_id, server) as dispatch:
        return DispatchRecord(
            dispatch_id=dispatch_id,
            name=dispatch.name,
            state=dispatch.state,
            nodes=tuple(_node(node) for node in dispatch.executor_nodes()),
        )


def _node(node: StoredNode) -> DispatchNode:
    output = node.files.header_of("output")
    return DispatchNode(
        dispatch_id=node.dispatch.dispatch_id,
        node_id=node.node_id,
        name=node.name,
        state=node.state,
        started=node.metadata["start_time"],
        ended=node.metadata["end_time"],
        attributes=(node.metadata["executor_data"] or {}).get("attributes") or {},
        header=output.header if output else {},
        stderr="" if output else node.files.text("stderr"),
        error="" if output else node.files.text("error"),
    )
