"""The tasks of a finished dispatch, read from Covalent's server.

Unlike a workflow's graph, they include the packages that arguments require.
"""

from __future__ import annotations

import io
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any
from urllib.error import URLError

from covalent._results_manager.results_manager import get_result_manager
from covalent._shared_files.defaults import WAIT_EDGE_NAME, parameter_prefix
from covalent._shared_files.exceptions import MissingLatticeRecordError
from covalent._shared_files.utils import format_server_url
from covalent._workflow.transportable_object import (
    HEADER_OFFSET,
    TOArchiveUtils,
    TransportableObject,
)
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import RequestException

from covalent_lambda_container.covalent_api.collections import is_collection
from covalent_lambda_container.covalent_api.post_processing import is_post_processing
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.covalent_api.workflow import (
    WorkflowTask,
    executor_options,
    with_hooks,
)
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import SHORT_NAME


def read_dispatch(dispatch_id: str, server: str | None = None) -> tuple[WorkflowTask, ...]:
    """Return the tasks of a dispatch and of its sublattices' that ran on the executor.

    Tasks that were never given all of their arguments, because others failed, are left out.

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
        return tuple(_tasks(dispatch_id, address))


def dispatch_started(dispatch_id: str, server: str | None = None) -> datetime:
    """Return when a dispatch began.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch.
    """
    address = server or format_server_url()
    with (
        asked_of(address, dispatch_id),
        tempfile.TemporaryDirectory(prefix="covalent-lambda-") as folder,
    ):
        manager = get_result_manager(dispatch_id, folder, dispatcher_addr=address)
    started: datetime = manager.result_object.start_time or datetime.now(timezone.utc)
    # Covalent's times are UTC, and do not say so.
    return started if started.tzinfo else started.replace(tzinfo=timezone.utc)


@contextmanager
def asked_of(address: str, dispatch_id: str) -> Iterator[None]:
    """Translate Covalent's errors on reading a dispatch.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch.
    """
    hint = "Start the server (covalent start), or name another one with --server."
    try:
        # Covalent's client prints advice of its own.
        with redirect_stdout(io.StringIO()):
            yield
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


def _tasks(dispatch_id: str, address: str) -> Iterator[WorkflowTask]:
    with tempfile.TemporaryDirectory(prefix="covalent-lambda-") as folder:
        manager = get_result_manager(dispatch_id, folder, dispatcher_addr=address)
        lattice = manager.result_object.lattice
        graph = lattice.transport_graph._graph
        for node in graph.nodes:
            attributes = graph.nodes[node]
            if attributes["metadata"]["executor"] == SHORT_NAME:
                task = task_of_node(dispatch_id, manager, node)
                if task:
                    yield task
            if attributes["sub_dispatch_id"]:
                yield from _tasks(attributes["sub_dispatch_id"], address)


def task_of_node(dispatch_id: str, manager: Any, node: int) -> WorkflowTask | None:
    """Return the task of a node; None for one that does not run, or that lacks arguments."""
    lattice = manager.result_object.lattice
    graph = lattice.transport_graph._graph
    for key in ("function", "hooks"):
        manager.download_node_asset(node, key)
        manager.load_node_asset(node, key)
    attributes = graph.nodes[node]
    if is_collection(attributes["function"]):
        return None
    if is_post_processing(attributes["function"]) and _returns_outputs(graph, node):
        return None
    sources = [
        source
        for source, _, edge in graph.in_edges(node, data="edge_name")
        if edge != WAIT_EDGE_NAME
    ]
    arguments = [_header_of_output(manager, source) for source in sources]
    if None in arguments:
        return None
    function = with_hooks(attributes["function"], attributes["metadata"]["hooks"])
    task = read_task(function, arguments, {})
    if task.refers_to_covalent:
        task = replace(task, covalent_version=lattice.covalent_version)
    return WorkflowTask(
        name=f"{dispatch_id}/{attributes['name']}",
        task=task,
        options=executor_options(attributes["metadata"]["executor_data"]),
    )


def _returns_outputs(graph: Any, node: int) -> bool:
    """Return whether a post-processing node is given an output, which it returns unopened."""
    given = [
        graph.nodes[source]["name"]
        for source, _, edge in graph.in_edges(node, data=True)
        if edge.get("param_type") == "arg"
    ]
    return bool(given) and not any(name.startswith(parameter_prefix) for name in given)


def _header_of_output(manager: Any, node: int) -> TransportableObject | None:
    """Return what a node made, without the value; None if it made nothing."""
    nodes = manager._manifest["lattice"]["transport_graph"]["nodes"]
    asset = nodes[node]["assets"]["output"]
    if not asset["size"]:
        return None
    # Values may be large: what comes after the header is not fetched. As Covalent opens it.
    with urllib.request.urlopen(asset["remote_uri"]) as output:  # noqa: S310
        start = output.read(HEADER_OFFSET)
        start += output.read(TOArchiveUtils.string_offset(start) - HEADER_OFFSET)
    return TransportableObject.deserialize(start, header_only=True)
