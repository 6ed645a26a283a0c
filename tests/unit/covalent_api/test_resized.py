"""A workflow's electrons get another memory size, however their executor is given."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
from covalent._shared_files.config import get_config, set_config
from requests.exceptions import ConnectionError as RequestsConnectionError

from covalent_lambda_container.covalent_api.resized import (
    dispatch_resized,
    options_in_graph,
    resized,
)
from covalent_lambda_container.covalent_api.script import imported, lattices_of
from covalent_lambda_container.covalent_api.workflow import executor_options
from covalent_lambda_container.errors import ConfigurationError

WORKFLOW = """
import covalent as ct

executor = ct.executor.AWSLambdaContainerExecutor(memory_size=256, timeout=77)


@ct.electron(executor=executor)
def by_value(x):
    return x


@ct.electron(executor="awslambda_container")
def by_name(x):
    return x


@ct.electron(executor="local")
def elsewhere(x):
    return x


@ct.lattice
def workflow(x):
    return elsewhere(by_name(by_value(x)))
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.py"
    path.write_text(WORKFLOW)
    return path


def test_only_memory_changes_and_only_on_this_executor(path: Path) -> None:
    with imported(path) as module:
        (lattice,) = lattices_of(module, path, None).values()
        # As `covalent.dispatch` does.
        copy = deepcopy(resized(lattice, 3008, args=[1], kwargs={}))
        copy.build_graph(1)
        nodes = copy.transport_graph._graph.nodes
        by_name = {nodes[node]["name"]: nodes[node]["metadata"] for node in nodes}
        for name, timeout in (("by_value", 77), ("by_name", 60)):
            options = executor_options(by_name[name]["executor_data"])
            assert (options.memory_size, options.timeout) == (3008, timeout)
        assert by_name["elsewhere"]["executor"] == "local"
        # The lattice itself is left as it was.
        lattice.build_graph(1)
        nodes = lattice.transport_graph._graph.nodes
        assert 256 in [
            executor_options(nodes[node]["metadata"]["executor_data"]).memory_size for node in nodes
        ]


def test_the_electrons_of_the_graph_are_counted(path: Path) -> None:
    options = options_in_graph(path, "workflow", args=[1], kwargs={})
    assert [one.timeout for one, _ in options] == [77, 60]


@pytest.fixture
def no_server() -> Iterator[None]:
    """A server's address in the configuration that refuses connections."""
    names = ("dispatcher.address", "dispatcher.port")
    before = {name: get_config(name) for name in names}
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        set_config(dict(zip(names, bound.getsockname(), strict=True)))
        yield
    set_config(before)


@pytest.mark.usefixtures("no_server")
def test_a_server_that_does_not_answer_is_an_error_that_says_so(path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:\d+ does not answer"):
        dispatch_resized(path, "workflow", 512, args=[1], kwargs={})


@pytest.mark.usefixtures("no_server")
def test_a_request_of_the_lattice_itself_is_not_one_to_the_server(path: Path) -> None:
    path.write_text(
        WORKFLOW.replace("import covalent", "import requests\nimport covalent", 1).replace(
            "    return elsewhere(", "    requests.get('http://127.0.0.1:1')\n    return elsewhere("
        )
    )
    with pytest.warns(UserWarning, match="manipulating"), pytest.raises(RequestsConnectionError):
        dispatch_resized(path, "workflow", 512, args=[1], kwargs={})
