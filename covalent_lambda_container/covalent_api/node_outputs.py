"""The output that the nodes of a dispatch show, finished or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from covalent_lambda_container.covalent_api.stored_dispatch import StoredNode, stored_dispatch

ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "POSTPROCESSING_FAILED"})
"""Covalent's names of final states."""

NodeKey = tuple[str, int]
"""Ids of the dispatch, which may be a sublattice's, and the node."""


@dataclass(frozen=True, kw_only=True)
class NodeOutput:
    """The output that one node shows.

    Parameters
    ----------
    dispatch_id, node_id, name, state
        Covalent's identifiers of the node, its name and its state.
    stdout, stderr
        The task's output so far; before it begins, stdout shows the current step.
    """

    dispatch_id: str
    node_id: int
    name: str
    state: str
    stdout: str
    stderr: str

    @property
    def key(self) -> NodeKey:
        """The node."""
        return self.dispatch_id, self.node_id

    @property
    def ended(self) -> bool:
        """Whether this is the final output."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class DispatchOutput:
    """The output of a dispatch's nodes, including those of its sublattices.

    Parameters
    ----------
    state
        The dispatch's state.
    nodes
        The requested nodes, in order.
    """

    state: str
    nodes: tuple[NodeOutput, ...]

    @property
    def ended(self) -> bool:
        """Whether the dispatch has ended."""
        return self.state in ENDED


def read_outputs(
    dispatch_id: str,
    server: str | None = None,
    *,
    node_id: int | None = None,
    known: Collection[NodeKey] = (),
) -> DispatchOutput:
    """Return the current output of a dispatch's nodes on the executor.

    Parameters
    ----------
    dispatch_id
        As `covalent.dispatch` returned it.
    server
        URL of Covalent's server; default: that of Covalent's configuration.
    node_id
        The node to read, with the nodes of its sublattice; None for all.
    known
        Nodes to skip.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch or node.
    """
    with stored_dispatch(dispatch_id, server) as dispatch:
        # List the nodes of all sublattices before reading any output, for consistent states.
        nodes = list(dispatch.executor_nodes(node_id))
        return DispatchOutput(state=dispatch.state, nodes=tuple(_outputs(nodes, known)))


def _outputs(nodes: Iterable[StoredNode], known: Collection[NodeKey]) -> Iterator[NodeOutput]:
    for node in nodes:
        if (node.dispatch.dispatch_id, node.node_id) in known:
            continue
        # The order matters: text written between the two reads is then recognized.
        stderr, stdout = (node.files.text(key, growing=True) for key in ("stderr", "stdout"))
        yield NodeOutput(
            dispatch_id=node.dispatch.dispatch_id,
            node_id=node.node_id,
            name=node.name,
            state=node.state,
            stdout=stdout,
            stderr=stderr if node.state in ENDED else _without(stdout, stderr),
        )


def _without(stdout: str, stderr: str) -> str:
    """Return a running task's own stderr: until it ends, Covalent's stderr has both streams."""
    if not stdout:
        return stderr
    # Otherwise the task has just printed something, which is shown next time.
    rest = stderr.removeprefix(stdout) if stderr.startswith(stdout) else ""
    return rest if stdout.endswith("\n") else rest.removeprefix("\n")
