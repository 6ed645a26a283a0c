"""Values of hundreds of megabytes never keep the event loop for long, whichever thread reads them.

Time is the processor's, and only what passes while the loop waits for its turn: on a busy machine a
thread may have the interpreter's lock and no processor.
"""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import cloudpickle
import covalent as ct
import pytest
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.concurrency.event_loop import in_thread
from covalent_lambda_container.covalent_api.collections import collection
from covalent_lambda_container.covalent_api.post_processing import lattice_result
from covalent_lambda_container.covalent_api.sublattice_archives import check_archive
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.covalent_api.transport import transportable
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.answers import validated
from covalent_lambda_container.tasks.s3_envelope import packed_task, read_answer
from tests.electron import assembled
from tests.unit.covalent_api.archives import built, changed
from tests.unit.covalent_api.archives import nodes as nodes_of

SIZE = 200_000_000
NODES = 4_000
ATTEMPTS = 3
LONGEST_S = 0.05
HEADER = TransportableObject(1).header
GOOD = {"v": 1, "status": "completed", "stdout": "", "stderr": "", "error": None}


def longest_wait_s(work: Callable[[], object]) -> float:
    """Return for how long work in a thread kept the loop waiting, at most."""
    longest = 0.0

    async def both() -> None:
        nonlocal longest
        running = asyncio.ensure_future(in_thread(work))
        while not running.done():
            # Sleeping lets the lock go, and waking takes it.
            started, used = time.perf_counter(), time.process_time()
            await asyncio.sleep(0.001)
            waited = min(time.perf_counter() - started, time.process_time() - used)
            longest = max(longest, waited)
        running.result()

    asyncio.run(both())
    return longest


def value(content: Any) -> TransportableObject:
    return transportable(dict(HEADER), "x", base64.b64encode(cloudpickle.dumps(content)).decode())


def long_closure() -> Callable[[], object]:
    kept = b"x" * SIZE
    function = partial(len, value(lambda: kept), [], [])
    return lambda: read_task(function, [], {})


def argument(content: Any) -> Callable[[], object]:
    task, args = assembled(len), [value(content)]
    return lambda: read_task(task, args, {})


def task_to_s3() -> Callable[[], object]:
    leaf = value(b"x" * SIZE).get_serialized()
    task = {"function": leaf, "args": [], "kwargs": {}, "before": [], "after": []}

    def send() -> None:
        for _ in packed_task(task):
            pass

    return send


def nodes() -> dict[str, TransportableObject]:
    """Return the functions of Covalent's own nodes."""

    @ct.electron
    def one(x: Any) -> Any:
        return x

    @ct.lattice
    def workflow() -> Any:
        return one([one(1), one(2)])

    workflow.build_graph()
    graph = workflow.transport_graph._graph
    found = [graph.nodes[node] for node in graph.nodes]
    return {node["name"].rpartition(":")[0]: node["function"] for node in found}


def list_of_two() -> Callable[[], object]:
    function = partial(len, nodes()[":electron_list"], [], [])
    args = [value(b"x" * (SIZE // 2))] * 2

    def compose() -> None:
        assert collection(function, args, {})

    return compose


def result_of_a_lattice() -> Callable[[], object]:
    function = partial(len, nodes()[":postprocess"], [], [])
    args = [value(b"x" * SIZE + b"covalent")]

    def look() -> None:
        assert lattice_result(function, args, {}) is args[0]

    return look


def answer(*blobs: bytes) -> Callable[[], object]:
    result = {"header": {"py_version": "3.11.0"}, "string": ""}
    packed = b"".join(wire.pack(GOOD | {"result": result}, blobs))
    return lambda: validated(read_answer(io.BytesIO(packed)), "a function")


def archive_of_a_sublattice() -> Callable[[], object]:
    text, limits = built()

    def grow(_: object, manifest: Any) -> None:
        graph = nodes_of(manifest)
        model = next(node for node in graph if node["metadata"]["name"] == "first")
        for number in range(1000, 1000 + NODES):
            metadata = model["metadata"] | {"task_group_id": number}
            graph.append(model | {"id": number, "metadata": metadata})

    archive = changed(text, grow)
    return lambda: check_archive(archive, limits)


LONG: dict[str, Callable[[], Callable[[], object]]] = {
    "closure": long_closure,
    "bytes with a word that is looked for": lambda: argument(
        [b"covalent" * (SIZE // 8), "covalent"]
    ),
    "text with that word": lambda: argument(["covalent" * (SIZE // 8), "covalent"]),
    "a large number": lambda: argument([2 ** (SIZE * 4), "covalent"]),
    "task to S3": task_to_s3,
    "list of outputs": list_of_two,
    "a lattice's result": result_of_a_lattice,
    "answer from S3": lambda: answer(b"x" * SIZE),
    "text of a sublattice": lambda: answer(b"x", b"x" * SIZE),
    "archive of a sublattice": archive_of_a_sublattice,
    "other long text": lambda: answer(b"x", "ä".encode() * 2_000_000),
}


def test_the_measurement_detects_a_held_lock() -> None:
    content = base64.b64encode(bytes(SIZE))
    assert longest_wait_s(lambda: base64.b64decode(content)) > LONGEST_S


@pytest.mark.parametrize("make", LONG.values(), ids=LONG)
def test_a_long_value_does_not_keep_the_loop(make: Callable[[], Callable[[], object]]) -> None:
    work = make()
    # The allocator and the machine have bad moments; what keeps the lock keeps it each time.
    assert min(longest_wait_s(work) for _ in range(ATTEMPTS)) < LONGEST_S
