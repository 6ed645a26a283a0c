"""Dispatches as Covalent's server stores them: their nodes, and each node's inputs."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.error import URLError

from covalent._api.apiclient import CovalentAPIClient
from covalent._results_manager.results_manager import _get_result_export_from_dispatcher
from covalent._shared_files.defaults import WAIT_EDGE_NAME
from covalent._shared_files.exceptions import MissingLatticeRecordError
from covalent._shared_files.utils import format_server_url
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException

from covalent_lambda_container.covalent_api.stored_files import StoredFiles
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import SHORT_NAME


@dataclass(frozen=True)
class StoredNode:
    """A node of a dispatch.

    Parameters
    ----------
    dispatch
        The dispatch, which may be a sublattice's.
    record
        The manifest's entry, with ``id``, ``metadata`` and ``assets``.
    """

    dispatch: StoredDispatch
    record: Mapping[str, Any]

    @property
    def node_id(self) -> int:
        """The node's number in the dispatch."""
        return int(self.record["id"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The node's ``ElectronMetadata``, a schema of Covalent's."""
        metadata: Mapping[str, Any] = self.record["metadata"]
        return metadata

    @property
    def name(self) -> str:
        """The node's name, usually that of its function."""
        return str(self.metadata["name"])

    @property
    def state(self) -> str:
        """Covalent's word for its state: ``"COMPLETED"``."""
        return _word_of(self.metadata["status"])

    @property
    def is_ours(self) -> bool:
        """Whether the node is on this project's executor."""
        return bool(self.metadata["executor"] == SHORT_NAME)

    @property
    def files(self) -> StoredFiles:
        """The node's function, hooks, output and texts."""
        return StoredFiles(self.record["assets"])

    @property
    def inputs(self) -> Sequence[Input]:
        """The node's inputs."""
        return self.dispatch.inputs.get(self.node_id, ())

    @property
    def sublattice(self) -> StoredDispatch | None:
        """The dispatch of the sublattice that the node has started, if any."""
        dispatch_id = self.metadata.get("sub_dispatch_id")
        return _fetched(str(dispatch_id), self.dispatch.address) if dispatch_id else None


@dataclass(frozen=True)
class Input:
    """A node's output that is an argument of another node.

    Parameters
    ----------
    source
        The node that made it.
    is_positional
        Whether it is a positional argument.
    """

    source: StoredNode
    is_positional: bool


@dataclass(frozen=True, kw_only=True)
class StoredDispatch:
    """A dispatch.

    Parameters
    ----------
    dispatch_id, address
        The dispatch's id, and the URL of its server.
    manifest
        The dispatch's ``ResultSchema``, a schema of Covalent's.
    """

    dispatch_id: str
    address: str
    manifest: Mapping[str, Any]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The dispatch's ``ResultMetadata``, a schema of Covalent's."""
        metadata: Mapping[str, Any] = self.manifest["metadata"]
        return metadata

    @property
    def lattice(self) -> Mapping[str, Any]:
        """The lattice's ``LatticeMetadata``, a schema of Covalent's."""
        metadata: Mapping[str, Any] = self.manifest["lattice"]["metadata"]
        return metadata

    @property
    def name(self) -> str:
        """The lattice's name."""
        return str(self.lattice["name"])

    @property
    def state(self) -> str:
        """Covalent's word for its state: ``"COMPLETED"``."""
        return _word_of(self.metadata["status"])

    @property
    def files(self) -> StoredFiles:
        """The dispatch's result and error."""
        return StoredFiles(self.manifest["assets"])

    @cached_property
    def nodes(self) -> Sequence[StoredNode]:
        """The nodes, in the order of their numbers."""
        records = self.manifest["lattice"]["transport_graph"]["nodes"]
        return [StoredNode(self, record) for record in sorted(records, key=lambda each: each["id"])]

    @cached_property
    def inputs(self) -> Mapping[int, Sequence[Input]]:
        """Each node's inputs, by its number."""
        nodes = {node.node_id: node for node in self.nodes}
        found: dict[int, list[Input]] = {}
        for edge in self.manifest["lattice"]["transport_graph"]["links"]:
            kind = edge["metadata"]
            if kind["edge_name"] != WAIT_EDGE_NAME:
                given = Input(nodes[edge["source"]], kind["param_type"] == "arg")
                found.setdefault(edge["target"], []).append(given)
        return found

    def executor_nodes(self, node_id: int | None = None) -> Iterator[StoredNode]:
        """Yield the nodes on the executor, including those of sublattices.

        Parameters
        ----------
        node_id
            Only this node, with those of its sublattice; None for all.

        Raises
        ------
        ConfigurationError
            The executor has no such node.
        """
        nodes = self.nodes
        if node_id is not None:
            own = [node for node in nodes if node.is_ours or node.metadata.get("sub_dispatch_id")]
            nodes = [node for node in own if node.node_id == node_id]
            if not nodes:
                names = ", ".join(f"{node.node_id} ({node.name})" for node in own)
                raise ConfigurationError(
                    f"Dispatch {self.dispatch_id!r} has no node {node_id} on this executor.",
                    hint=f"Its nodes there: {names or 'none'}.",
                )
        for node in nodes:
            if node.is_ours:
                yield node
            if sublattice := node.sublattice:
                yield from sublattice.executor_nodes()


@contextmanager
def stored_dispatch(dispatch_id: str, server: str | None = None) -> Iterator[StoredDispatch]:
    """Yield a dispatch; errors while it is read are raised as errors of this project.

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
    address = server or format_server_url()
    hint = "Start the server (covalent start), or choose another one with --server."
    try:
        with errors_of_server(address, f"did not return dispatch {dispatch_id!r}", hint):
            yield _fetched(dispatch_id, address)
    except MissingLatticeRecordError as exc:
        raise ConfigurationError(
            f"Covalent's server at {address} has no dispatch {dispatch_id!r}."
        ) from exc


@contextmanager
def errors_of_server(address: str, failure: str, hint: str) -> Iterator[None]:
    """Raise errors of requests to Covalent's server as errors of this project.

    Parameters
    ----------
    address
        The server's URL.
    failure
        What an answering server did wrong.
    hint
        Advice.

    Raises
    ------
    ConfigurationError
        The server does not answer, or a request failed.
    """
    try:
        yield
    except RequestsConnectionError as exc:
        raise ConfigurationError(
            f"Covalent's server at {address} does not answer.", hint=hint
        ) from exc
    except (RequestException, URLError) as exc:
        raise ConfigurationError(
            f"Covalent's server at {address} {failure}: {exc}", hint=hint
        ) from exc


def _fetched(dispatch_id: str, address: str) -> StoredDispatch:
    client = CovalentAPIClient(address, auto_raise=False)
    # The client prints its own advice.
    with redirect_stdout(io.StringIO()):
        manifest = _get_result_export_from_dispatcher(dispatch_id, client)
    return StoredDispatch(dispatch_id=dispatch_id, address=address, manifest=manifest.model_dump())


def _word_of(status: Any) -> str:
    """Return a state's name: Covalent has it as a member of an enumeration."""
    return str(getattr(status, "value", status))
