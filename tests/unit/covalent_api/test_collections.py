"""Lists and dictionaries of outputs, assembled without opening their elements."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import covalent as ct
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.covalent_api.collections import collection
from tests.unit.covalent_api.assembled import Bomb, add, assembled, sealed


def nodes_of(workflow: Any, kind: str) -> tuple[Any, TransportableObject]:
    """Build a lattice; return its graph and the function of its one node of a kind."""
    workflow.build_graph()
    graph = workflow.transport_graph
    (number,) = [
        number
        for number in graph._graph.nodes
        if graph.get_node_value(number, "name").startswith(kind)
    ]
    return graph, graph.get_node_value(number, "function")


def lattice_of(build: Callable[[Any], Any]) -> Any:
    one: Any = ct.electron(lambda: 1)
    use: Any = ct.electron(lambda values: values)
    return ct.lattice(lambda: use(build(one)))


@pytest.mark.parametrize("values", [[], [1, "two"], [[1], {"a": None}, Path("x")]])
def test_a_list_node_is_assembled_as_covalent_would(values: list[Any]) -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    args = [sealed(value) for value in values]
    function = partial(wrapper_fn, node, [], [])
    collected = collection(function, args, {})
    assert collected is not None
    assert collected.get_deserialized() == function(*args).get_deserialized() == values


@pytest.mark.parametrize("value", [{}, {"a": 1, "b": [2]}, {1: None}])
def test_a_dictionary_node_is_assembled_as_covalent_would(value: dict[Any, Any]) -> None:
    _, node = nodes_of(lattice_of(lambda one: {"a": one(), "b": one()}), ":electron_dict:")
    args = [sealed(list(value)), sealed(list(value.values()))]
    function = partial(wrapper_fn, node, [], [])
    collected = collection(function, args, {})
    assert collected is not None
    assert collected.get_deserialized() == function(*args).get_deserialized() == value


def test_a_collection_has_the_requirements_of_its_elements() -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    args = [sealed(1), sealed(2), sealed(3)]
    args[0].header["requires"] = ["numpy==2.1"]
    args[2].header["requires"] = ["scipy==1.14", "NumPy == 2.1"]
    collected = collection(partial(wrapper_fn, node, [], []), args, {})
    assert collected is not None
    assert collected.header["requires"] == ["numpy==2.1", "scipy==1.14"]
    assert TransportableObject.deserialize(collected.serialize()).header == collected.header


def test_a_collection_has_the_versions_of_the_client() -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    node.header.update(py_version="3.12.1", cloudpickle_version="2.2.1")
    collected = collection(partial(wrapper_fn, node, [], []), [sealed(1)], {})
    assert collected is not None
    header = collected.header
    assert (header["py_version"], header["cloudpickle_version"]) == ("3.12.1", "2.2.1")
    assert header["attrs"] == {"doc": "", "name": ""}


def test_other_callables_are_not_collections() -> None:
    assert collection(partial(add, 1), [sealed(1)], {}) is None


def test_bombs_in_a_collection_stay_closed() -> None:
    _, node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")
    assert collection(partial(wrapper_fn, node, [], []), [sealed(Bomb())], {}) is not None


def test_electrons_are_no_collections() -> None:
    def _auto_list_node(*args: Any) -> list[Any]:
        return list(args)

    node = nodes_of(lattice_of(lambda one: [one(), one()]), ":electron_list:")[1]
    hook = ct.DepsCall(add, [1]).apply()
    assert collection(assembled(add), [sealed(1)], {}) is None
    assert collection(assembled(_auto_list_node), [sealed(1)], {}) is None
    assert collection(partial(wrapper_fn, node, [hook], []), [sealed(1)], {}) is None
    assert collection(partial(wrapper_fn, node, [], []), [], {"x": sealed(1)}) is None
