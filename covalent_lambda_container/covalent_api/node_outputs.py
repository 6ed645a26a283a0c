"""What the nodes of a dispatch show as their output, finished or not."""

from __future__ import annotations

import urllib.request
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.error import HTTPError

from covalent._shared_files.utils import format_server_url

from covalent_lambda_container.covalent_api.dispatch import asked_of
from covalent_lambda_container.covalent_api.manifests import manifest_of, nodes_of, word_of

_OUTPUT_BYTES: Final = 4 * 1024 * 1024
"""As much of a stream is read; the handler keeps less."""

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
    address = server or format_server_url()
    with asked_of(address, dispatch_id):
        manifest = manifest_of(dispatch_id, address)
        found = list(nodes_of(dispatch_id, address, manifest, node_id=node_id))
        return DispatchOutput(
            state=word_of(manifest["metadata"]["status"]),
            nodes=tuple(_outputs(found, known)),
        )


def _outputs(
    found: list[tuple[str, dict[str, Any]]], known: Collection[NodeKey]
) -> Iterator[NodeOutput]:
    for dispatch_id, node in found:
        node_id, metadata = int(node["id"]), node["metadata"]
        if (dispatch_id, node_id) in known:
            continue
        state = word_of(metadata["status"])
        # In this order: what was written between the two is then recognized.
        stderr, stdout = (_text(node["assets"].get(key)) for key in ("stderr", "stdout"))
        yield NodeOutput(
            dispatch_id=dispatch_id,
            node_id=node_id,
            name=str(metadata["name"]),
            state=state,
            stdout=stdout,
            stderr=stderr if state in ENDED else _without(stdout, stderr),
        )


def _without(stdout: str, stderr: str) -> str:
    """Return a running task's stderr: as long as it runs, Covalent's holds both streams."""
    if not stdout:
        return stderr
    # Otherwise the task has just printed something: what is new is there next time.
    rest = stderr.removeprefix(stdout) if stderr.startswith(stdout) else ""
    return rest if stdout.endswith("\n") else rest.removeprefix("\n")


def _text(asset: dict[str, Any] | None) -> str:
    if not asset or not asset.get("remote_uri"):
        return ""
    try:
        with urllib.request.urlopen(asset["remote_uri"]) as stored:  # noqa: S310 - Covalent's own
            content: bytes = stored.read(_OUTPUT_BYTES)
    except HTTPError as exc:
        exc.close()
        # Nothing was written yet.
        return ""
    return content.decode("utf-8", "replace")
