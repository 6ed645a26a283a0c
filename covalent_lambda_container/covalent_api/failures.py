"""The failures in a dispatch, from Covalent's server: errors and outputs of its nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from covalent_lambda_container.covalent_api.dispatch import task_of_node
from covalent_lambda_container.covalent_api.stored_dispatch import (
    StoredDispatch,
    StoredNode,
    stored_dispatch,
)
from covalent_lambda_container.covalent_api.workflow import WorkflowTask
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.model.places import Place, recorded_place

_FAILED: Final = "FAILED"


@dataclass(frozen=True, kw_only=True)
class FailedNode:
    """A node that failed.

    Parameters
    ----------
    dispatch_id, node_id, name
        Covalent's identifiers of the node; the dispatch may be a sublattice's.
    executor
        Short name of its executor.
    error
        The error as Covalent stores it; its first line is the reason. Covalent's own executors
        store none: for those, the last line of the traceback.
    stdout, stderr
        What the task wrote; stderr ends with the traceback.
    place
        Where it ran, as far as that is recorded.
    task
        The task, if it was one of this project's executor and got its arguments.
    """

    dispatch_id: str
    node_id: int
    name: str
    executor: str
    error: str
    stdout: str
    stderr: str
    place: Place | None
    task: WorkflowTask | None


@dataclass(frozen=True, kw_only=True)
class DispatchFailures:
    """A dispatch's status and its failures.

    Parameters
    ----------
    name
        The lattice's name.
    status
        Covalent's name of the status: ``"FAILED"``.
    error
        An error outside of all nodes; empty if there is none.
    nodes
        The failed nodes; those of a sublattice replace the node that ran it.
    """

    name: str
    status: str
    error: str
    nodes: tuple[FailedNode, ...]


def read_failures(dispatch_id: str, server: str | None = None) -> DispatchFailures:
    """Return the failures in a dispatch and in those of its sublattices.

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
        nodes = tuple(_failed_nodes(dispatch))
        return DispatchFailures(
            name=dispatch.name,
            status=dispatch.state,
            error="" if nodes else dispatch.files.text("error"),
            nodes=nodes,
        )


def _failed_nodes(dispatch: StoredDispatch) -> Iterator[FailedNode]:
    for node in dispatch.nodes:
        if node.state != _FAILED:
            continue
        sublattice = node.sublattice
        inside = tuple(_failed_nodes(sublattice)) if sublattice else ()
        if inside:
            yield from inside
            continue
        stderr, error = node.files.text("stderr"), node.files.text("error")
        yield FailedNode(
            dispatch_id=dispatch.dispatch_id,
            node_id=node.node_id,
            name=node.name,
            executor=node.metadata["executor"],
            error=error or last_line(stderr),
            stdout=node.files.text("stdout"),
            stderr=stderr,
            place=recorded_place(stderr, error) if node.is_ours else None,
            task=_task(node),
        )


def last_line(stderr: str) -> str:
    """Return the last line of a node's stderr that is not empty."""
    return next((line for line in reversed(stderr.splitlines()) if line.strip()), "")


def _task(node: StoredNode) -> WorkflowTask | None:
    if not node.is_ours:
        return None
    try:
        return task_of_node(node)
    except LambdaContainerError:
        # Its options or packages may be the cause: the error says so.
        return None
