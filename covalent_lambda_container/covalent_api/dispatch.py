"""The tasks of a finished dispatch, read from Covalent's server.

Unlike a workflow's graph, they include the packages that arguments require.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

from covalent._shared_files.defaults import parameter_prefix

from covalent_lambda_container.covalent_api.collections import is_collection
from covalent_lambda_container.covalent_api.post_processing import is_post_processing
from covalent_lambda_container.covalent_api.stored_dispatch import StoredNode, stored_dispatch
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.covalent_api.workflow import (
    WorkflowTask,
    executor_options,
    with_hooks,
)


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
    with stored_dispatch(dispatch_id, server) as dispatch:
        tasks = (task_of_node(node) for node in dispatch.executor_nodes())
        return tuple(task for task in tasks if task)


def dispatch_started(dispatch_id: str, server: str | None = None) -> datetime:
    """Return when a dispatch began.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch.
    """
    with stored_dispatch(dispatch_id, server) as dispatch:
        started: datetime = dispatch.metadata["start_time"] or datetime.now(timezone.utc)
    # Covalent's times are UTC, and do not say so.
    return started if started.tzinfo else started.replace(tzinfo=timezone.utc)


def task_of_node(node: StoredNode) -> WorkflowTask | None:
    """Return the task of a node; None for one that does not run, or that lacks arguments."""
    function = node.files.value("function")
    if is_collection(function):
        return None
    if is_post_processing(function) and _returns_outputs(node):
        return None
    arguments = [given.source.files.header_of("output") for given in node.inputs]
    if None in arguments:
        return None
    task = read_task(with_hooks(function, node.files.document("hooks")), arguments, {})
    if task.refers_to_covalent:
        task = replace(task, covalent_version=node.dispatch.lattice["covalent_version"])
    return WorkflowTask(
        name=f"{node.dispatch.dispatch_id}/{node.name}",
        task=task,
        options=executor_options(node.metadata["executor_data"]),
    )


def _returns_outputs(node: StoredNode) -> bool:
    """Return whether a post-processing node is given an output, which it returns unopened."""
    given = [each.source.name for each in node.inputs if each.is_positional]
    return bool(given) and not any(name.startswith(parameter_prefix) for name in given)
