"""What failed in a dispatch, from Covalent's server: errors and outputs of its nodes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from covalent._results_manager.results_manager import get_result_manager
from covalent._shared_files.utils import format_server_url

from covalent_lambda_container.covalent_api.dispatch import asked_of, task_of_node
from covalent_lambda_container.covalent_api.manifests import word_of
from covalent_lambda_container.covalent_api.workflow import WorkflowTask
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.model.names import SHORT_NAME

_FAILED: Final = "FAILED"


@dataclass(frozen=True, kw_only=True)
class FailedNode:
    """A node that failed.

    Parameters
    ----------
    dispatch_id, node_id, name
        Which one; the dispatch may be a sublattice's.
    executor
        Short name of its executor.
    error
        What Covalent keeps of the error; its first line is the reason. Covalent's own executors
        keep none: of theirs, the last line of the traceback.
    stdout, stderr
        What the task wrote; stderr ends with the traceback.
    task
        What it ran, if it was a task of this project's executor and got its arguments.
    """

    dispatch_id: str
    node_id: int
    name: str
    executor: str
    error: str
    stdout: str
    stderr: str
    task: WorkflowTask | None


@dataclass(frozen=True, kw_only=True)
class DispatchFailures:
    """How a dispatch stands, and what failed in it.

    Parameters
    ----------
    name
        The lattice's.
    status
        Covalent's word: ``"FAILED"``.
    error
        What failed beside all nodes; empty if nothing did.
    nodes
        The nodes that failed, those of sublattices in place of the nodes that ran these.
    """

    name: str
    status: str
    error: str
    nodes: tuple[FailedNode, ...]


def read_failures(dispatch_id: str, server: str | None = None) -> DispatchFailures:
    """Return what failed in a dispatch and in its sublattices'.

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
    with asked_of(address, dispatch_id):
        return _read(dispatch_id, address)


def _read(dispatch_id: str, address: str) -> DispatchFailures:
    with tempfile.TemporaryDirectory(prefix="covalent-lambda-") as folder:
        manager = get_result_manager(dispatch_id, folder, dispatcher_addr=address)
        result = manager.result_object
        nodes = tuple(_failed_nodes(dispatch_id, manager, address))
        manager.download_result_asset("error")
        manager.load_result_asset("error")
        return DispatchFailures(
            name=str(result.lattice.__name__),
            status=word_of(result.status),
            error="" if nodes else str(result.error or ""),
            nodes=nodes,
        )


def _failed_nodes(dispatch_id: str, manager: Any, address: str) -> Iterator[FailedNode]:
    for node in manager._manifest["lattice"]["transport_graph"]["nodes"]:
        metadata = node["metadata"]
        if word_of(metadata["status"]) != _FAILED:
            continue
        inner = metadata["sub_dispatch_id"]
        if inner:
            found = _read(inner, address).nodes
            if found:
                yield from found
                continue
        stderr = _text(manager, node["id"], "stderr")
        yield FailedNode(
            dispatch_id=dispatch_id,
            node_id=node["id"],
            name=metadata["name"],
            executor=metadata["executor"],
            error=_text(manager, node["id"], "error") or last_line(stderr),
            stdout=_text(manager, node["id"], "stdout"),
            stderr=stderr,
            task=_task(dispatch_id, manager, node),
        )


def last_line(stderr: str) -> str:
    """Return the last line of a node's stderr that is not empty."""
    return next((line for line in reversed(stderr.splitlines()) if line.strip()), "")


def _text(manager: Any, node: int, key: str) -> str:
    manager.download_node_asset(node, key)
    manager.load_node_asset(node, key)
    graph = manager.result_object.lattice.transport_graph
    return str(graph.get_node_value(node, key) or "")


def _task(dispatch_id: str, manager: Any, node: Any) -> WorkflowTask | None:
    if node["metadata"]["executor"] != SHORT_NAME:
        return None
    try:
        return task_of_node(dispatch_id, manager, node["id"])
    except LambdaContainerError:
        # Its options or packages may be what failed: the error says so.
        return None
