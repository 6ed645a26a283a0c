"""A lattice's result is put together unopened, where it consists of outputs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import covalent as ct
import networkx
import pytest
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.covalent_api.collections import collection
from covalent_lambda_container.covalent_api.post_processing import lattice_result
from covalent_lambda_container.covalent_api.workflow import with_hooks


class Bomb:
    """Tells when somebody unpickles it."""

    def __reduce__(self) -> Any:
        return pytest.fail, ("it was opened",)


def post_processed(returned: Callable[[Any], Any], output: Any, **options: Any) -> Any:
    """Return what post-processing makes of a lattice whose electron returns `output`.

    None where it must run.
    """

    @ct.electron
    def electron() -> None: ...

    @ct.lattice(**options)
    def workflow() -> Any:
        return returned(electron())

    workflow.build_graph()
    graph = workflow.transport_graph._graph
    values: dict[int, Any] = {}
    for node in networkx.topological_sort(graph):
        attributes = graph.nodes[node]
        edges = [edge for edge in graph.in_edges(node, data=True) if edge[2].get("param_type")]
        positional = [edge for edge in edges if edge[2]["param_type"] == "arg"]
        args = [values[edge[0]] for edge in sorted(positional, key=lambda e: e[2]["arg_index"])]
        kwargs = {e[2]["edge_name"]: values[e[0]] for e in edges if e[2]["param_type"] == "kwarg"}
        function = attributes["function"]
        if attributes["name"].startswith(":parameter:"):
            values[node] = attributes["value"]
        elif attributes["name"] == "electron":
            values[node] = TransportableObject(output)
        elif attributes["name"].startswith(":postprocess:"):
            hooks = attributes["metadata"].get("hooks")
            return lattice_result(with_hooks(function, hooks), args, kwargs)
        else:
            values[node] = collection(partial(wrapper_fn, function, [], []), args, kwargs)
    raise AssertionError("there is no post-processing")


@pytest.mark.parametrize(
    ("returned", "result"),
    [
        (lambda x: x, 5),
        (lambda x: [x, 1], [5, 1]),
        (lambda x: {"a": x}, {"a": 5}),
        (lambda x: [{"a": [x]}, x], [{"a": [5]}, 5]),
        (lambda _: 7, 7),
    ],
)
def test_outputs_and_collections_of_them_are_the_result(returned: Any, result: Any) -> None:
    assert post_processed(returned, 5).get_deserialized() == result


def test_nothing_is_opened() -> None:
    assert post_processed(lambda x: [x], Bomb()) is not None


def test_packages_of_the_lattice_are_not_needed_for_it() -> None:
    done = post_processed(lambda x: x, 5, deps_pip=ct.DepsPip(["numpy"]), deps_bash=["true"])
    assert done.get_deserialized() == 5


def test_hooks_of_the_lattice_run() -> None:
    assert post_processed(lambda x: x, 5, call_before=[ct.DepsCall(len, ["x"])]) is None


def test_the_header_of_an_output_is_kept() -> None:
    assert post_processed(lambda x: x, 5).header["py_version"]


@pytest.mark.parametrize("returned", [lambda x: (x, 1), lambda x: [(x,)]])
def test_electrons_in_anything_else_are_covalents_to_replace(returned: Any) -> None:
    done = post_processed(returned, 5)
    assert done is None or done.get_deserialized() in ([5, 1], [[5]])


def test_another_function_of_that_name_is_not_meant() -> None:
    def _postprocess_recursively(x: int) -> int:
        return x + 1

    function = partial(wrapper_fn, TransportableObject(_postprocess_recursively), [], [])
    assert lattice_result(function, [TransportableObject(1)], {}) is None


def test_it_is_reassigned_from_covalents_own_executors(tmp_path: Path) -> None:
    folders = ("CONFIG_DIR", "LOGDIR", "CACHE_DIR", "DATA_DIR", "EXECUTOR_DIR")
    own = {f"COVALENT_{name}": str(tmp_path / name) for name in folders}
    own |= {"COVALENT_DATABASE": str(tmp_path / "db.sqlite"), "HOME": str(tmp_path)}
    script = Path(__file__).with_name("reassigned.py")
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path)],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    ours, local = ["awslambda_container", 768], ["local", None]
    node, elements = ":postprocess:reconstruct", ":electron_list:"
    assert found == {
        "output": {"electron": local, node: ours},
        "list": {"electron": local, node: ours, elements: ours},
        "value": {"electron": local, node: local},
        "other": {"electron": local, node: ["remote_executor", None]},
    }
