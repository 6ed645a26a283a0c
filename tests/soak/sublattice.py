"""The node of a sublattice: its graph is built in Lambda, where it knocks as the others do."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import tarfile
from typing import Any

import covalent as ct
from covalent._workflow.electron import _build_sublattice_graph

from covalent_lambda_container.covalent_api.sublattice_archives import check_archive
from covalent_lambda_container.covalent_api.sublattices import limits_of
from covalent_lambda_container.covalent_api.task import Task, read_task
from covalent_lambda_container.tasks.outcome import Outcome
from tests.electron import assembled
from tests.soak.work import work

EXECUTOR = "awslambda_container"


def _node_values(name: str, port: int) -> list[Any]:
    """Return the arguments of the function that builds the graph, as Covalent pickles them."""

    @ct.electron(executor=EXECUTOR)
    def said(text: str) -> str:
        return text

    @ct.electron(executor=EXECUTOR)
    @ct.lattice(executor=EXECUTOR, workflow_executor=EXECUTOR)
    def inner(name: str, port: int) -> Any:
        work(name, port, "sublattice", 0.0, 0)
        return said(name)

    @ct.lattice(executor=EXECUTOR, workflow_executor=EXECUTOR)
    def outer(name: str, port: int) -> Any:
        return inner(name, port)

    outer.build_graph(name, port)
    graph = outer.transport_graph._graph
    values = [graph.nodes[node].get("value") for node in graph.nodes]
    return [value for value in values if value is not None]


def sublattice_task(name: str, port: int) -> tuple[Task, list[Any]]:
    """Return the task of a sublattice's node, and its arguments."""
    args = _node_values(name, port)
    task = read_task(assembled(_build_sublattice_graph), args, {})
    assert isinstance(task, Task)
    return dataclasses.replace(task, covalent_version=ct.__version__), args


def is_graph_of(outcome: Outcome, name: str, args: list[Any]) -> bool:
    """Return whether a node has answered with the archive of its sublattice, nothing forged."""
    check_archive(outcome.text, limits_of(args, {}, ()))
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(outcome.text))) as archive:
        (manifest,) = [one for one in archive.getnames() if one.endswith("manifest.json")]
        opened = archive.extractfile(manifest)
        assert opened
        nodes = json.load(opened)["lattice"]["transport_graph"]["nodes"]
    return any(name in node["metadata"]["name"] for node in nodes)
