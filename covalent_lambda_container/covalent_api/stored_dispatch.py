"""Dispatches as Covalent's server stores them: their nodes, and what each is given."""

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
        ``id``, ``metadata`` and ``assets``, as a manifest has them.
    """

    dispatch: StoredDispatch
    record: Mapping[str, Any]

    @property
    def node_id(self) -> int:
        """Its number in the dispatch."""
        return int(self.record["id"])

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What Covalent's server knows of it, as ``ElectronMetadata`` of Covalent's schemas."""
        metadata: Mapping[str, Any] = self.record["metadata"]
        return metadata

    @property
    def name(self) -> str:
        """Its name: the function's, as a rule."""
        return str(self.metadata["name"])

    @property
    def state(self) -> str:
        """Covalent's word for its state: ``"COMPLETED"``."""
        return _word_of(self.metadata["status"])

    @property
    def is_ours(self) -> bool:
        """Whether it is on this project's executor."""
        return bool(self.metadata["executor"] == SHORT_NAME)

    @property
    def files(self) -> StoredFiles:
        """Its function, hooks, output and texts."""
        return StoredFiles(self.record["assets"])

    @property
    def inputs(self) -> Sequence[Input]:
        """What it is given."""
        return self.dispatch.inputs.get(self.node_id, ())

    @property
    def sublattice(self) -> StoredDispatch | None:
        """The dispatch of the sublattice that it has started, if it has started one."""
        dispatch_id = self.metadata.get("sub_dispatch_id")
        return _fetched(str(dispatch_id), self.dispatch.address) if dispatch_id else None


@dataclass(frozen=True)
class Input:
    """The output of a node that another node is given.

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
        Which one, and the URL of the server that has it.
    manifest
        As ``ResultSchema`` of Covalent's schemas.
    """

    dispatch_id: str
    address: str
    manifest: Mapping[str, Any]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What Covalent's server knows of it, as ``ResultMetadata`` of Covalent's schemas."""
        metadata: Mapping[str, Any] = self.manifest["metadata"]
        return metadata

    @property
    def lattice(self) -> Mapping[str, Any]:
        """The lattice's, as ``LatticeMetadata`` of Covalent's schemas."""
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
        """Its result and its error."""
        return StoredFiles(self.manifest["assets"])

    @cached_property
    def nodes(self) -> Sequence[StoredNode]:
        """Its nodes, in the order of their numbers."""
        records = self.manifest["lattice"]["transport_graph"]["nodes"]
        return [StoredNode(self, record) for record in sorted(records, key=lambda each: each["id"])]

    @cached_property
    def inputs(self) -> Mapping[int, Sequence[Input]]:
        """What each node is given, by its number."""
        nodes = {node.node_id: node for node in self.nodes}
        found: dict[int, list[Input]] = {}
        for edge in self.manifest["lattice"]["transport_graph"]["links"]:
            kind = edge["metadata"]
            if kind["edge_name"] != WAIT_EDGE_NAME:
                given = Input(nodes[edge["source"]], kind["param_type"] == "arg")
                found.setdefault(edge["target"], []).append(given)
        return found

    def executor_nodes(self, node_id: int | None = None) -> Iterator[StoredNode]:
        """Yield the nodes on the executor, those of sublattices included.

        Parameters
        ----------
        node_id
            Only this node of it, with those of its sublattice; None for all.

        Raises
        ------
        ConfigurationError
            There is no such node on the executor.
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
    """Yield a dispatch; what fails while it is read is raised as an error of this project.

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
    hint = "Start the server (covalent start), or name another one with --server."
    try:
        yield _fetched(dispatch_id, address)
    except MissingLatticeRecordError as exc:
        raise ConfigurationError(
            f"Covalent's server at {address} has no dispatch {dispatch_id!r}."
        ) from exc
    except RequestsConnectionError as exc:
        raise ConfigurationError(
            f"Covalent's server at {address} does not answer.", hint=hint
        ) from exc
    except (RequestException, URLError) as exc:
        raise ConfigurationError(
            f"Covalent's server at {address} did not return dispatch {dispatch_id!r}: {exc}",
            hint=hint,
        ) from exc


def _fetched(dispatch_id: str, address: str) -> StoredDispatch:
    client = CovalentAPIClient(address, auto_raise=False)
    # The client prints advice of its own.
    with redirect_stdout(io.StringIO()):
        manifest = _get_result_export_from_dispatcher(dispatch_id, client)
    return StoredDispatch(dispatch_id=dispatch_id, address=address, manifest=manifest.model_dump())


def _word_of(status: Any) -> str:
    """Return a state as a word: Covalent has it as a member of an enumeration."""
    return str(getattr(status, "value", status))
