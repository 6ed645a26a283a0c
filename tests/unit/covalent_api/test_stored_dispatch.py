"""Dispatches are read from a server: tasks, states, outputs and failures, sublattices included."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import covalent as ct
import pytest
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.dispatch import dispatch_started, read_dispatch
from covalent_lambda_container.covalent_api.dispatch_nodes import read_nodes
from covalent_lambda_container.covalent_api.failures import read_failures
from covalent_lambda_container.covalent_api.node_outputs import read_outputs
from covalent_lambda_container.errors import ConfigurationError
from tests.fakes.covalent_server import FakeCovalentServer

OURS = "awslambda_container"
OUTER, INNER = "outer-id", "inner-id"


@ct.electron(executor=OURS, deps_pip=ct.DepsPip(["humanize==4.11.0"]))
def make() -> int:
    return 1


@ct.electron(executor=OURS)
def use(value: int) -> int:
    return value


@ct.electron(executor="local")
def elsewhere(value: int) -> int:
    return value


@ct.electron(executor=OURS)
@ct.lattice
def below(value: int) -> Any:
    return use(value)


@ct.lattice
def outer() -> Any:
    made = make()
    return [use(made), elsewhere(made), below(made)]


@pytest.fixture
def server() -> Iterator[FakeCovalentServer]:
    """A dispatch and its sublattice's, of which all nodes have run."""
    with FakeCovalentServer() as fake:
        fake.add(OUTER, outer)
        fake.add(INNER, ct.lattice(lambda value: use(value)), 1)
        requires = {"requires": ["humanize==4.11.0"], "image": "0" * 32, "node": "make (node 0)"}
        fake.end(OUTER, "make", header=requires, stdout="made\n")
        fake.end(OUTER, "use", header={}, stdout="used\n")
        fake.end(OUTER, "elsewhere", header={})
        fake.end(OUTER, ":sublattice:", header={})
        fake.node(OUTER, ":sublattice:")["metadata"]["sub_dispatch_id"] = INNER
        fake.end(INNER, ":parameter:", header={})
        fake.end(INNER, "use", header={}, stdout="used below\n")
        yield fake


def test_tasks_have_the_packages_that_their_arguments_require(server: FakeCovalentServer) -> None:
    tasks = {task.name: task.task for task in read_dispatch(OUTER, server.url)}
    assert list(tasks) == [
        f"{OUTER}/make",
        f"{OUTER}/use",
        f"{INNER}/use",
    ]
    assert tasks[f"{OUTER}/make"].requirements.packages == ("humanize==4.11.0",)
    (origin,) = tasks[f"{OUTER}/use"].origins
    assert origin.requirements == ("humanize==4.11.0",)
    assert tasks[f"{INNER}/use"].origins == frozenset()


def test_a_task_that_refers_to_covalent_has_the_version_of_its_dispatch() -> None:
    refers = ct.electron(lambda: TransportableObject is None, executor=OURS)
    with FakeCovalentServer() as server:
        server.add(OUTER, ct.lattice(lambda: refers()))
        server.manifests[OUTER]["lattice"]["metadata"]["covalent_version"] = "0.241.0"
        (task, *_) = read_dispatch(OUTER, server.url)
    assert task.task.covalent_version == "0.241.0"


def test_a_task_that_was_never_given_its_arguments_is_excluded(server: FakeCovalentServer) -> None:
    server.end(INNER, ":parameter:", "FAILED")
    assert f"{INNER}/use" not in [task.name for task in read_dispatch(OUTER, server.url)]


def test_a_dispatch_began_at_its_time_in_utc(server: FakeCovalentServer) -> None:
    server.manifests[OUTER]["metadata"]["start_time"] = "2026-11-28T09:00:00"
    begun = datetime(2026, 11, 28, 9, tzinfo=timezone.utc)
    assert dispatch_started(OUTER, server.url) == begun


def test_nodes_are_those_on_the_executor(server: FakeCovalentServer) -> None:
    server.end(OUTER, "use", "FAILED", stderr="Traceback\n")
    server.manifests[OUTER]["metadata"]["status"] = "FAILED"
    record = read_nodes(OUTER, server.url)
    assert (record.name, record.state) == ("outer", "FAILED")
    seen = [(node.dispatch_id, node.name, node.state) for node in record.nodes]
    assert seen == [
        (OUTER, "make", "COMPLETED"),
        (OUTER, "use", "FAILED"),
        (INNER, "use", "COMPLETED"),
    ]
    made, failed, *_ = record.nodes
    assert made.header["requires"] == ["humanize==4.11.0"]
    assert (failed.header, failed.stderr) == ({}, "Traceback\n")


def test_outputs_of_nodes_that_are_known_are_not_read(server: FakeCovalentServer) -> None:
    seen = read_outputs(OUTER, server.url, known={(OUTER, 0)})
    assert [(node.name, node.stdout) for node in seen.nodes] == [
        ("use", "used\n"),
        ("use", "used below\n"),
    ]


def test_the_output_of_a_running_task_is_read_before_its_size_is_known(
    server: FakeCovalentServer,
) -> None:
    server.end(OUTER, "use", "RUNNING", stdout="one\n", stderr="one\ntwo\n")
    node = server.node(OUTER, "use")
    for key in ("stdout", "stderr"):
        node["assets"][key]["size"] = 0
    (seen,) = read_outputs(OUTER, server.url, node_id=node["id"]).nodes
    assert (seen.state, seen.stdout, seen.stderr) == ("RUNNING", "one\n", "two\n")


def test_the_output_of_one_node_includes_that_of_its_sublattice(server: FakeCovalentServer) -> None:
    node_id = server.node(OUTER, ":sublattice:")["id"]
    seen = read_outputs(OUTER, server.url, node_id=node_id)
    assert [node.stdout for node in seen.nodes] == ["used below\n"]


def test_a_node_that_does_not_exist_is_refused_with_those_that_are(
    server: FakeCovalentServer,
) -> None:
    other = server.node(OUTER, "elsewhere")["id"]
    with pytest.raises(ConfigurationError) as raised:
        read_outputs(OUTER, server.url, node_id=other)
    assert f"has no node {other} on this executor" in str(raised.value)
    assert "0 (make), 1 (use)" in str(raised.value)


def test_failures_of_a_sublattice_stand_in_place_of_its_node(server: FakeCovalentServer) -> None:
    server.end(OUTER, ":sublattice:", "FAILED", stderr="the sublattice failed\n")
    server.end(INNER, "use", "FAILED", error="no memory", stdout="out", stderr="a\nb\n")
    server.end(OUTER, "elsewhere", "FAILED", stderr="Traceback\nKeyError: 1\n")
    server.manifests[OUTER]["metadata"]["status"] = "FAILED"
    failures = read_failures(OUTER, server.url)
    assert (failures.name, failures.status, failures.error) == ("outer", "FAILED", "")
    elsewhere_, inner = failures.nodes
    assert (elsewhere_.executor, elsewhere_.error) == ("local", "KeyError: 1")
    assert elsewhere_.task is None
    assert (inner.dispatch_id, inner.error) == (INNER, "no memory")
    assert (inner.stdout, inner.stderr) == ("out", "a\nb\n")
    assert inner.task is not None
    assert inner.task.name == f"{INNER}/use"


def test_a_failure_outside_of_all_nodes_is_the_dispatchs_error(server: FakeCovalentServer) -> None:
    server.write(server.manifests[OUTER]["assets"]["error"], b"no graph")
    assert read_failures(OUTER, server.url).error == "no graph"


@pytest.mark.parametrize("read", [read_dispatch, read_nodes, read_outputs, read_failures])
def test_a_dispatch_that_is_not_there_is_named(server: FakeCovalentServer, read: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"has no dispatch 'another'\."):
        read("another", server.url)


def test_unwritten_files_are_empty_and_lost_ones_are_errors(
    server: FakeCovalentServer,
) -> None:
    server.end(OUTER, "use", "FAILED", stderr="Traceback\n")
    del server.files[server.path_of(server.node(OUTER, "use")["assets"]["stderr"])]
    assert [node.stderr for node in read_outputs(OUTER, server.url).nodes] == ["", "", ""]
    with pytest.raises(ConfigurationError, match="did not return dispatch"):
        read_failures(OUTER, server.url)
