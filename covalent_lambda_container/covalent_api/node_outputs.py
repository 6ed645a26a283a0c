"""What the nodes of a dispatch show as their output, finished or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from covalent_lambda_container.covalent_api.stored_dispatch import StoredNode, stored_dispatch

ENDED: Final = frozenset({"COMPLETED", "FAILED", "CANCELLED", "POSTPROCESSING_FAILED"})
"""Covalent's words for what does not change any more."""

NodeKey = tuple[str, int]
"""Dispatch, which may be a sublattice's, and node."""


@dataclass(frozen=True, kw_only=True)
class NodeOutput:
    """What one node shows.

    Parameters
    ----------
    dispatch_id, node_id, name, state
        Covalent's names for it, and its word for the state.
    stdout, stderr
        What its task has printed so far; before it begins, stdout says what is done for it.
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
        """Whether this is all that it will show."""
        return self.state in ENDED


@dataclass(frozen=True, kw_only=True)
class DispatchOutput:
    """What the nodes of a dispatch show, those of its sublattices included.

    Parameters
    ----------
    state
        Of the dispatch.
    nodes
        In their order, those that nobody asked for left out.
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
    """Return what the nodes of a dispatch on the executor show now.

    Parameters
    ----------
    dispatch_id
        As `covalent.dispatch` returned it.
    server
        URL of Covalent's server; default: that of Covalent's configuration.
    node_id
        The one to read, with the nodes of its sublattice; None for all.
    known
        Nodes that are not read.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch or node.
    """
    with stored_dispatch(dispatch_id, server) as dispatch:
        # The nodes of all sublattices before any output: this is how they stand now.
        nodes = list(dispatch.executor_nodes(node_id))
        return DispatchOutput(state=dispatch.state, nodes=tuple(_outputs(nodes, known)))


def _outputs(nodes: Iterable[StoredNode], known: Collection[NodeKey]) -> Iterator[NodeOutput]:
    for node in nodes:
        if (node.dispatch.dispatch_id, node.node_id) in known:
            continue
        # In this order: what was written between the two is then recognized.
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
    """Return a running task's stderr: as long as it runs, Covalent's holds both streams."""
    if not stdout:
        return stderr
    # Otherwise the task has just printed something: what is new is there next time.
    rest = stderr.removeprefix(stdout) if stderr.startswith(stdout) else ""
    return rest if stdout.endswith("\n") else rest.removeprefix("\n")
