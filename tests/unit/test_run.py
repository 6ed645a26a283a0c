"""The executor's run and cancel, as Covalent's dispatcher calls them, on fakes."""

from __future__ import annotations

import asyncio
import io
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from covalent._shared_files import TaskRuntimeError
from covalent._shared_files.exceptions import TaskCancelledError
from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.covalent_api import transport
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.errors import FunctionCrashed, InvocationError
from covalent_lambda_container.executor import wiring
from covalent_lambda_container.ports.functions import ACTIVE, FunctionState, Reply
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes import FakeBlobStore, FakeClock, FakeFunctions
from tests.fakes.examples import call

METADATA = {"dispatch_id": "dispatch", "node_id": 3}
Executor: Any = AWSLambdaContainerExecutor


class FakeService:
    """Runs tasks on one function that is there already."""

    def __init__(self, functions: FakeFunctions, blobs: FakeBlobStore, clock: FakeClock) -> None:
        self.tasks: list[Task] = []
        self.targets = self
        self._invoker = Invoker(functions, blobs, sleep=clock.pause, now=clock.now)

    async def run(
        self,
        task: Task,
        dispatch_id: str,
        node_id: int,
        *,
        cancellation: Cancellation,
        retries: int = 0,
        waiting: Any = None,
    ) -> Outcome:
        assert retries == 0
        self.tasks.append(task)
        sent = call(task.payload, "name", dispatch_id=dispatch_id, node_id=node_id)
        return await self._invoker.run(sent, cancellation)

    def contents_of(self, tag: str) -> None:
        """Know no image."""


@pytest.fixture
def functions(clock: FakeClock) -> Iterator[FakeFunctions]:
    with FakeFunctions(clock) as functions:
        functions.states["name"] = FunctionState(state=ACTIVE)
        yield functions


@pytest.fixture
def fake_service(
    functions: FakeFunctions, blobs: FakeBlobStore, clock: FakeClock, monkeypatch: Any
) -> FakeService:
    fake = FakeService(functions, blobs, clock)
    monkeypatch.setattr(wiring, "service_for", lambda _: fake)
    return fake


@pytest.fixture
def executor(fake_service: FakeService) -> Any:
    """An executor as the dispatcher has it: with streams for the task's output."""
    executor = Executor(usage_report=False)
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    return executor


def run(executor: Any, function: Any, *args: Any, **kwargs: Any) -> Any:
    return executor.run(
        partial(wrapper_fn, TransportableObject(function), [], []),
        [TransportableObject(arg) for arg in args],
        {name: TransportableObject(value) for name, value in kwargs.items()},
        METADATA,
    )


def test_a_result_comes_back_as_covalent_stores_it(executor: Any) -> None:
    def speak(x: int, y: int) -> list[int]:
        print("hello")
        return [x, y]

    result = asyncio.run(run(executor, speak, 1, y=2))
    assert result.get_deserialized() == [1, 2]
    assert result.object_string == "[1, 2]"
    assert TransportableObject.deserialize(result.serialize()).get_deserialized() == [1, 2]
    assert executor.task_stdout.getvalue() == "hello\n"
    assert executor.task_stderr.getvalue() == ""


def test_an_executor_with_the_attributes_of_another_runs_tasks(fake_service: FakeService) -> None:
    # Covalent hands a lattice's executor data down to sublattices that name another executor.
    executor = Executor()
    attributes = {"log_stdout": "", "log_stderr": "", "cache_dir": "", "time_limit": -1}
    executor.from_dict({"attributes": attributes | {"retries": 0, "workdir": "/tmp/case"}})
    executor._task_stdout, executor._task_stderr = io.StringIO(), io.StringIO()
    assert asyncio.run(run(executor, abs, -1)).get_deserialized() == 1


def test_an_electron_that_raises_is_a_task_error_with_its_traceback(executor: Any) -> None:
    def fail() -> None:
        print("so far")
        raise KeyError("missing")

    with pytest.raises(TaskRuntimeError, match=r"^KeyError: 'missing'$"):
        asyncio.run(run(executor, fail))
    assert executor.task_stdout.getvalue() == "so far\n"
    printed = executor.task_stderr.getvalue()
    assert printed.startswith("Traceback (most recent call last):")
    assert printed.endswith("KeyError: 'missing'\n")


def test_advice_stands_below_the_error(executor: Any) -> None:
    def fail() -> None:
        raise MemoryError

    with pytest.raises(TaskRuntimeError, match=r"^MemoryError: \nRaise the option memory_size"):
        asyncio.run(run(executor, fail))


class FakeDataManager(ModuleType):
    """Covalent's updates of nodes, in its dispatcher."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__("covalent_dispatcher._core.data_manager")
        self.fails = fails
        self.errors: list[str] = []

    def generate_node_result(self, *, node_id: int, error: str) -> str:
        return error

    async def update_node_result(self, dispatch_id: str, update: str) -> None:
        if self.fails:
            raise OSError("database is locked")
        self.errors.append(update)


@pytest.mark.parametrize("fails", [False, True])
def test_advice_stands_in_a_nodes_error_or_else_in_its_stderr(
    executor: Any, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    manager = FakeDataManager(fails=fails)
    for name in ("covalent_dispatcher", "covalent_dispatcher._core"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(
        sys.modules["covalent_dispatcher._core"], "data_manager", manager, raising=False
    )
    monkeypatch.setitem(sys.modules, manager.__name__, manager)

    def fail() -> None:
        raise MemoryError

    with pytest.raises(TaskRuntimeError, match="Raise the option memory_size"):
        asyncio.run(run(executor, fail))
    printed = executor.task_stderr.getvalue()
    # The page shows both, one below the other.
    assert "\n".join([printed, *manager.errors]).count("Raise the option memory_size") == 1
    # Once in the traceback, whether that has the source line or not.
    assert printed.splitlines().count("MemoryError") == 1


@pytest.mark.parametrize(
    ("module", "advice"),
    [("psutil", r"belongs to psutil==[\d.]+: require it with"), ("nosuch", "not in the image")],
)
def test_the_origin_of_a_missing_module_is_reported(
    executor: Any, module: str, advice: str
) -> None:
    def fail(module: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    with pytest.raises(TaskRuntimeError, match=rf"^ModuleNotFoundError: (.|\n)*{advice}"):
        asyncio.run(run(executor, fail, module))
    assert executor.task_stderr.getvalue().count("\n") < 20


def test_a_task_that_could_not_be_run_is_our_error(executor: Any, functions: FakeFunctions) -> None:
    problem = {"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}
    functions.reply_next_with(Reply(payload=problem, function_error="Unhandled"))
    with pytest.raises(FunctionCrashed, match="task dispatch:3 on function name"):
        asyncio.run(run(executor, abs, -1))


@pytest.mark.parametrize(
    "argument",
    [transport.transportable({}, "", "é"), transport.transportable([], "", "gAVLAS4=")],  # type: ignore[arg-type]
    ids=["no base64", "no header"],
)
def test_an_electron_of_another_form_is_our_error(executor: Any, argument: Any) -> None:
    function = partial(wrapper_fn, TransportableObject(abs), [], [])
    with pytest.raises(InvocationError, match="does not have the form"):
        asyncio.run(executor.run(function, [argument], {}, METADATA))


def test_a_hundred_tasks_wait_at_once(executor: Any, fake_service: FakeService) -> None:
    # Nobody passes before all have come.
    there: list[asyncio.Event] = []

    async def wait(*_: Any, **__: Any) -> Outcome:
        there.append(asyncio.Event())
        if len(there) == 100:
            for event in there:
                event.set()
        await asyncio.wait_for(there[-1].wait() if len(there) == 100 else there[0].wait(), 30)
        return Outcome(completed=True, header={}, text="", pickled="gARLAS4=")

    fake_service.run = wait  # type: ignore[method-assign]

    async def many() -> None:
        await asyncio.gather(*(run(executor, abs, -1) for _ in range(100)))

    asyncio.run(many())
    assert len(there) == 100


def test_a_task_that_needs_covalent_gets_the_clients_version(
    executor: Any, fake_service: FakeService
) -> None:
    async def version_info() -> dict[str, str]:
        return {"python": "3.11.7", "covalent": "0.240.0"}

    executor.get_version_info = version_info
    asyncio.run(run(executor, lambda: TransportableObject is None))
    asyncio.run(run(executor, abs, -1))
    assert [task.covalent_version for task in fake_service.tasks] == ["0.240.0", ""]


# -- the event loop --------------------------------------------------------------------------------


def longest_turn_s(work: Any) -> float:
    """Run work on an event loop; return the most processor time that the loop spent in one turn."""
    longest = 0.0

    async def both() -> None:
        nonlocal longest
        running = asyncio.ensure_future(work)
        while not running.done():
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)
            await asyncio.sleep(0.001)
        running.result()

    asyncio.run(both())
    return longest


def word_list(size: int) -> Any:
    words = [f"word number {index}" for index in range(size)]

    def work() -> int:
        return len(words) if TransportableObject else 0

    return work


def with_header(requires: list[str]) -> TransportableObject:
    value = TransportableObject(1)
    return transport.transportable(
        value.header | {"requires": requires}, "1", value.get_serialized()
    )


@pytest.mark.parametrize("words", [2_000, 20_000, 400_000])
def test_a_large_closure_does_not_keep_the_loop(
    executor: Any, fake_service: FakeService, words: int
) -> None:
    async def ends(*_: Any, **__: Any) -> Outcome:
        return Outcome(completed=True, header={}, text="", pickled="gARLAS4=")

    async def version_info() -> dict[str, str]:
        return {"python": "3.11.7", "covalent": "0.240.0"}

    fake_service.run = ends  # type: ignore[method-assign]
    executor.get_version_info = version_info
    assert longest_turn_s(run(executor, word_list(words))) < 0.05


def test_the_largest_header_does_not_keep_the_loop(
    executor: Any, fake_service: FakeService
) -> None:
    async def ends(*_: Any, **__: Any) -> Outcome:
        return Outcome(completed=True, header={}, text="", pickled="gARLAS4=")

    fake_service.run = ends  # type: ignore[method-assign]
    value = with_header([f"package-{index}=={index}.1" for index in range(1024)])
    call = executor.run(
        partial(wrapper_fn, TransportableObject(abs), [], []), [value], {}, METADATA
    )
    assert longest_turn_s(call) < 0.05


def test_the_largest_answer_does_not_keep_the_loop(executor: Any, functions: FakeFunctions) -> None:
    result = {"header": {}, "string": "\u00e9" * 1_000_000, "pickle": "AAAA" * 1_000_000}
    answer = {"v": 1, "status": "completed", "result": result, "stdout": "", "stderr": ""}
    functions.reply_next_with(Reply(payload=answer))
    assert longest_turn_s(run(executor, abs, -1)) < 0.05


# -- cancel ---------------------------------------------------------------------------------------


def test_a_cancelled_task_ends_at_once(
    executor: Any, functions: FakeFunctions, tmp_path: Path
) -> None:
    started = tmp_path / "started"

    def work(path: Path) -> None:
        path.touch()
        time.sleep(30)

    async def cancel_when_started() -> bool:
        while not started.exists():
            await asyncio.sleep(0.01)
        # Covalent asks another instance than the one that runs the task.
        return bool(await Executor().cancel(METADATA, None))

    async def both() -> Any:
        return await asyncio.gather(
            run(executor, work, started), cancel_when_started(), return_exceptions=True
        )

    begun = time.monotonic()
    ended, was_running = asyncio.run(both())
    assert time.monotonic() - begun < 5
    assert isinstance(ended, TaskCancelledError)
    assert was_running is True
    assert len(functions.executions) == 1


def test_a_task_that_is_not_running_cannot_be_cancelled(executor: Any) -> None:
    # What comes too late is remembered, as what comes too early is: no other test has this task.
    ended = METADATA | {"node_id": 5}
    assembled = partial(wrapper_fn, TransportableObject(abs), [], [])
    asyncio.run(executor.run(assembled, [TransportableObject(-1)], {}, ended))
    assert asyncio.run(executor.cancel(ended, None)) is False


def test_a_task_that_was_cancelled_before_it_came_does_not_begin(
    executor: Any, fake_service: FakeService
) -> None:
    other = METADATA | {"node_id": 4}
    assert asyncio.run(Executor().cancel(other, None)) is False
    assembled = partial(wrapper_fn, TransportableObject(abs), [], [])
    with pytest.raises(TaskCancelledError):
        asyncio.run(executor.run(assembled, [TransportableObject(-1)], {}, other))
    assert fake_service.tasks == []
