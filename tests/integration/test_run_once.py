"""Each task runs once, and its answer or an error arrives, over a network that breaks."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import cloudpickle
import docker
import pytest
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsTarget, clients_for
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.errors import InvocationError, TaskTimedOut
from covalent_lambda_container.local.listeners import listen_here_only
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.electron import assembled, run
from tests.integration.faulty_proxy import (
    BROKEN,
    BROKEN_AFTER,
    CUT_ANSWER,
    CUT_BEFORE,
    CUT_WHILE_RUNNING,
    CUT_WITH_OTHERS,
    SLOW,
    THROTTLED,
    FaultyProxy,
)

TIMEOUT_S = 20
MANY = 200
ENVIRONMENTS = 30


class Marks:
    """Counts executions: every task knocks once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: list[str] = []

    def count(self, task: str) -> int:
        with self._lock:
            return self._seen.count(task)

    def listen(self, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, self._lock:
                    self._seen.append(connection.recv(100).decode())


@pytest.fixture(scope="module")
def marks(engine: None) -> Iterator[tuple[Marks, int]]:
    """Knocks are heard on Docker's bridge, as the stack is."""
    seen = Marks()
    with contextlib.closing(docker.from_env()) as client:
        sockets = listen_here_only(client)
    for server in sockets:
        server.listen(200)
        threading.Thread(target=seen.listen, args=(server,), daemon=True).start()
    yield seen, sockets[0].getsockname()[1]
    for server in sockets:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture(scope="module")
def function_name(
    options: dict[str, Any], aws: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A function that is ready."""

    def functions() -> set[str]:
        listed = aws("lambda").list_functions()["Functions"]
        return {function["FunctionName"] for function in listed}

    before = functions()
    executor = AWSLambdaContainerExecutor(
        **options, timeout=TIMEOUT_S, memory_size=1001, cache_dir=str(tmp_path_factory.mktemp("c"))
    )
    run(executor, abs, -1)
    (made,) = functions() - before
    return made


@pytest.fixture
def proxy(stack: Any) -> Iterator[FaultyProxy]:
    with FaultyProxy(stack.endpoint_url).running() as running:
        yield running


@pytest.fixture
def invoker(proxy: FaultyProxy, stack: Any) -> Invoker:
    """An invoker that reaches Lambda through the proxy, and S3 directly."""
    direct = AwsTarget(
        credentials_file=str(stack.credentials_file),
        profile=stack.profile,
        region=stack.region,
        endpoint_url=stack.endpoint_url,
    )
    invocations = LambdaInvocations(clients_for(replace(direct, endpoint_url=proxy.endpoint)))
    return Invoker(invocations, S3Bucket(clients_for(direct), stack.bucket))


def work(name: str, port: int, sleep_s: float, size: int) -> bytes:
    import socket
    import time

    with socket.create_connection(("host.docker.internal", port)) as connection:
        connection.sendall(name.encode())
    time.sleep(sleep_s)
    return bytes(size)


@pytest.fixture
def call_of(function_name: str, marks: tuple[Marks, int]) -> Iterator[Callable[..., Call]]:
    """Return a call of a task: it knocks, sleeps, and returns some bytes."""

    def call_of(name: str, sleep_s: float = 0.0, size: int = 10, **changes: Any) -> Call:
        arguments = [TransportableObject(value) for value in (name, marks[1], sleep_s, size)]
        task = read_task(assembled(work), arguments, {})
        usual = Call(
            function_name=function_name,
            payload=task.payload,
            payload_bytes=task.payload_bytes,
            dispatch_id="run-once",
            node_id=0,
            timeout_s=TIMEOUT_S,
            memory_mb=1001,
            poll_interval_s=0.5,
            cleanup=True,
        )
        return replace(usual, **changes)

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield call_of
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def send(invoker: Invoker, call_of: Callable[..., Call]) -> Callable[..., Outcome]:
    """Send a task through the proxy."""

    def send(*args: Any) -> Outcome:
        return asyncio.run(invoker.run(call_of(*args), Cancellation()))

    return send


@pytest.mark.slow
@pytest.mark.parametrize("count", [30])
def test_answers_of_connections_that_are_all_cut_at_once_are_all_found(
    invoker: Invoker,
    call_of: Callable[..., Call],
    proxy: FaultyProxy,
    marks: tuple[Marks, int],
    count: int,
):
    proxy.plan = [CUT_WHILE_RUNNING] * count
    names = [f"cut-{count}-{number}" for number in range(count)]

    async def run() -> list[Outcome]:
        # Containers start one after the other: what is looked for is looked for longer.
        calls = [
            call_of(name, number % 4 * 0.6, poll_interval_s=2, timeout_s=300)
            for number, name in enumerate(names)
        ]
        return await asyncio.gather(*(invoker.run(call, Cancellation()) for call in calls))

    outcomes = asyncio.run(run())
    assert [outcome.completed for outcome in outcomes] == [True] * count
    assert [marks[0].count(name) for name in names] == [1] * count


@pytest.fixture
def few_environments(function_name: str, aws: Callable[[str], Any]) -> Iterator[None]:
    """Let Lambda refuse what exceeds a number of execution environments of the function.

    The engine's network has addresses for some two hundred containers in all, and the emulator
    answers 64 requests at once. Lambda uses environments for one task after the other as well.
    """
    functions = aws("lambda")
    functions.put_function_concurrency(
        FunctionName=function_name, ReservedConcurrentExecutions=ENVIRONMENTS
    )
    yield
    functions.delete_function_concurrency(FunctionName=function_name)


@pytest.mark.slow
def test_two_hundred_answers_that_are_lost_at_the_same_moment_are_all_found(
    invoker: Invoker,
    call_of: Callable[..., Call],
    proxy: FaultyProxy,
    marks: tuple[Marks, int],
    few_environments: None,
):
    proxy.plan = [CUT_WITH_OTHERS] * MANY
    names = [f"many-{number}" for number in range(MANY)]

    async def cut_when_all_have_begun() -> None:
        while not all(marks[0].count(name) for name in names):
            await asyncio.sleep(0.1)
        proxy.cut_held()

    async def run() -> list[Outcome]:
        calls = [
            call_of(name, number % 4 * 0.6, poll_interval_s=2, timeout_s=120)
            for number, name in enumerate(names)
        ]
        cut = asyncio.ensure_future(cut_when_all_have_begun())
        running = (invoker.run(call, Cancellation()) for call in calls)
        outcomes = await asyncio.gather(*running, return_exceptions=True)
        await cut
        return outcomes

    outcomes = asyncio.run(run())
    errors = [outcome for outcome in outcomes if not isinstance(outcome, Outcome)]
    assert errors == []
    assert [outcome.completed for outcome in outcomes] == [True] * MANY
    assert [marks[0].count(name) for name in names] == [1] * MANY


@pytest.mark.parametrize(
    ("plan", "sleep_s", "size"),
    [
        ([THROTTLED] * 4, 0, 10),
        ([THROTTLED], 0, 10_000_000),
        ([SLOW], 0, 10),
        ([CUT_ANSWER], 0, 10),
        ([CUT_ANSWER], 0, 10_000_000),
        pytest.param([CUT_ANSWER], 11, 10, marks=pytest.mark.slow),
        ([CUT_WHILE_RUNNING], 1.5, 10),
        ([CUT_WHILE_RUNNING], 1.5, 10_000_000),
        pytest.param([CUT_WHILE_RUNNING], 11, 10, marks=pytest.mark.slow),
        ([BROKEN_AFTER], 0, 10),
    ],
)
def test_the_answer_arrives_and_the_task_ran_once(
    send: Any,
    proxy: FaultyProxy,
    marks: tuple[Marks, int],
    request: pytest.FixtureRequest,
    plan: list[str],
    sleep_s: float,
    size: int,
):
    proxy.plan = list(plan)
    name = request.node.name[-90:]
    outcome = send(name, sleep_s, size)
    assert outcome.completed
    assert len(outcome.pickled) >= size
    assert marks[0].count(name) == 1
    assert proxy.plan == []


@pytest.mark.slow
@pytest.mark.parametrize("fault", [CUT_BEFORE, BROKEN])
def test_a_task_that_may_not_have_been_taken_ends_in_an_error_and_runs_no_second_time(
    send: Any, proxy: FaultyProxy, marks: tuple[Marks, int], fault: str
):
    proxy.plan = [fault]
    started = time.monotonic()
    with pytest.raises(InvocationError, match="may have run; it was not run again"):
        send(fault)
    assert time.monotonic() - started < TIMEOUT_S + 35
    assert marks[0].count(fault) == 0


@pytest.mark.slow
def test_a_timeout_is_reported_although_the_connection_was_cut(
    send: Any, proxy: FaultyProxy, marks: tuple[Marks, int]
):
    proxy.plan = [CUT_WHILE_RUNNING]
    with pytest.raises(TaskTimedOut, match=f"did not end within {TIMEOUT_S} s"):
        send("too long", 300.0)
    assert marks[0].count("too long") == 1


def test_nothing_of_a_task_remains_in_the_bucket(
    send: Any, proxy: FaultyProxy, aws: Callable[[str], Any], stack: Any
):
    proxy.plan = [CUT_ANSWER]
    send("tidy", 0, 8_000_000)
    left = aws("s3").list_objects_v2(Bucket=stack.bucket, Prefix="covalent-lambda/run-once/")
    assert left.get("KeyCount", 0) == 0
