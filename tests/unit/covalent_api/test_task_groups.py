"""Nodes of this executor are in separate groups, even if Covalent packs tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import covalent as ct
import pytest
from covalent._shared_files.config import get_config, set_config


@pytest.fixture
def packing() -> Iterator[None]:
    """Covalent packs tasks, as its users set it."""
    before = get_config("sdk.task_packing")
    set_config("sdk.task_packing", "true")
    yield
    set_config("sdk.task_packing", before)


@pytest.mark.parametrize(("executor", "packed"), [("awslambda_container", False), ("local", True)])
def test_a_node_is_packed_unless_it_is_this_executors(
    executor: str, packed: bool, packing: None
) -> None:
    @ct.electron(executor=executor)
    def pair() -> Any:
        return 1, 2

    @ct.electron(executor=executor)
    def add(values: Any) -> Any:
        return sum(values)

    @ct.lattice
    def workflow() -> Any:
        first, second = pair()
        return add([first, second])

    workflow.build_graph()
    graph = workflow.transport_graph._graph.nodes
    assert {":pair()[0]", ":electron_list:"} <= {graph[node]["name"] for node in graph}
    own = [node for node in graph if graph[node]["metadata"]["executor"] == executor]
    assert any(graph[node]["task_group_id"] != node for node in own) is packed
