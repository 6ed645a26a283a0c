"""Failures of tasks in real containers, and the errors that users see."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.errors import FunctionCrashed, TaskOutOfMemory, TaskTimedOut
from covalent_lambda_container.local.emulator import Limits
from covalent_lambda_container.local.stack import LocalStack, local_stack
from tests.electron import execute, run

SOON_S = 2.0


@pytest.fixture(scope="module")
def tight(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack whose functions have 256 MB of memory and 32 MB of /tmp."""
    limits = Limits(scratch_mb=32, memory_mb=256)
    with local_stack(tmp_path_factory.mktemp("tight"), print, limits=limits) as running:
        yield running


@pytest.fixture(scope="module")
def executor(
    tight: LocalStack, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> AWSLambdaContainerExecutor:
    here = {
        "endpoint_url": tight.endpoint_url,
        "credentials_file": str(tight.credentials_file),
        "profile": tight.profile,
        "cache_dir": str(tmp_path_factory.mktemp("cache")),
        "poll_freq": 1,
        "usage_report": False,
        "timeout": 20,
    }
    ready = AWSLambdaContainerExecutor(**(options | here))
    run(ready, abs, -1)
    return ready


@pytest.fixture(autouse=True)
def next_task_is_unharmed(executor: AWSLambdaContainerExecutor) -> Iterator[None]:
    yield

    def look() -> Any:
        import os
        import sys
        from pathlib import Path

        Path("file").write_bytes(bytes(8_000_000))
        return sys.stdout is not None, len(list(Path().iterdir())), os.environ.get("LEFT_BY_A_TASK")

    ended = run(executor, look)
    assert ended.value == (True, 1, None)
    assert (ended.stdout, ended.stderr) == ("", "")


def seconds(started: float) -> float:
    return time.monotonic() - started


def test_timeout(executor: AWSLambdaContainerExecutor):
    def sleep() -> None:
        import time

        print("still here", flush=True)
        time.sleep(60)

    short = AWSLambdaContainerExecutor(**{**_options(executor), "timeout": 3})
    run(short, abs, -1)
    started = time.monotonic()
    with pytest.raises(TaskTimedOut, match=r"within 3 s[\s\S]*still here[\s\S]*timeout"):
        run(short, sleep)
    assert seconds(started) < 3 + SOON_S


def test_out_of_memory(executor: AWSLambdaContainerExecutor):
    def fill() -> None:
        print("filling", flush=True)
        kept = []
        while True:
            kept.append(bytearray(8_000_000))

    with pytest.raises(TaskOutOfMemory, match=r"512 MB[\s\S]*filling[\s\S]*option memory_size"):
        run(executor, fill)


def test_memory_error(executor: AWSLambdaContainerExecutor):
    ended = run(executor, lambda: bytearray(1 << 60))
    assert ended.status == "FAILED"
    assert "MemoryError" in ended.stderr


@pytest.mark.parametrize("status", [0, 3])
def test_hard_exit(executor: AWSLambdaContainerExecutor, status: int):
    def leave(status: int) -> None:
        import os

        print("last words", flush=True)
        os._exit(status)

    started = time.monotonic()
    with pytest.raises(FunctionCrashed, match=r"ended without an answer[\s\S]*last words"):
        run(executor, leave, status)
    assert seconds(started) < SOON_S


def test_system_exit_is_the_tasks_own_error(executor: AWSLambdaContainerExecutor):
    def leave() -> None:
        import sys

        sys.exit("no more")

    ended = run(executor, leave)
    assert ended.status == "FAILED"
    *_, last, place = ended.stderr.splitlines()
    assert last == "SystemExit: no more"
    assert place.startswith("Ran on function ")


def test_segmentation_fault(executor: AWSLambdaContainerExecutor):
    def fault() -> None:
        import ctypes

        print("about to fault", flush=True)
        ctypes.string_at(0)

    with pytest.raises(FunctionCrashed, match=r"segmentation fault[\s\S]*about to fault"):
        run(executor, fault)


def test_a_killed_container(executor: AWSLambdaContainerExecutor, tight: LocalStack):
    def wait() -> None:
        import time

        time.sleep(15)

    async def killed() -> None:
        running = asyncio.ensure_future(execute(executor, wait))
        await asyncio.sleep(1.5)
        with contextlib.closing(docker.from_env()) as client:
            port = tight.endpoint_url.rpartition(":")[2]
            for container in client.containers.list(ignore_removed=True):
                if container.labels.get("ministack.instance", "").endswith(f":{port}"):
                    container.kill()
        started = time.monotonic()
        with pytest.raises((FunctionCrashed, TaskOutOfMemory)):
            await running
        assert seconds(started) < SOON_S

    asyncio.run(killed())


def test_an_unpicklable_result(executor: AWSLambdaContainerExecutor):
    def make() -> Any:
        import threading

        return threading.Lock()

    ended = run(executor, make)
    assert ended.status == "FAILED"
    assert "return value, a lock, cannot be pickled" in ended.stderr


def test_an_exception_whose_text_raises(executor: AWSLambdaContainerExecutor):
    def fail() -> None:
        class Odd(Exception):
            def __str__(self) -> str:
                raise ValueError

        raise Odd

    ended = run(executor, fail)
    assert ended.status == "FAILED"
    assert "Odd" in ended.stderr


def test_a_flood_of_output(executor: AWSLambdaContainerExecutor):
    def flood() -> str:
        line = "x" * 1999 + "\n"
        print("first line")
        for _ in range(100_000):
            print(line, end="")
        print("last line")
        return "done"

    ended = run(executor, flood)
    assert ended.value == "done"
    assert ended.stdout.startswith("first line\n")
    assert ended.stdout.endswith("last line\n")
    assert "bytes left out" in ended.stdout
    assert len(ended.stdout) < 200_000


def test_tmp_is_full(executor: AWSLambdaContainerExecutor):
    def fill() -> None:
        from pathlib import Path

        with Path("/tmp/left-behind").open("wb") as file:
            while True:
                file.write(bytes(1_000_000))

    ended = run(executor, fill)
    assert ended.status == "FAILED"
    assert "No space left on device" in ended.stderr
    assert "option ephemeral_storage" in ended.stderr


def test_children_are_ended(executor: AWSLambdaContainerExecutor):
    def start() -> list[int]:
        import os
        import subprocess

        os.environ["LEFT_BY_A_TASK"] = "1"
        program = subprocess.Popen(["sleep", "300"])
        daemon = subprocess.Popen(["sleep", "300"], start_new_session=True)
        forked = os.fork()
        if forked == 0:
            while True:
                pass
        return [program.pid, daemon.pid, forked]

    def alive(pids: list[int]) -> list[int]:
        from pathlib import Path

        return [pid for pid in pids if Path(f"/proc/{pid}").exists()]

    pids = run(executor, start).value
    assert run(executor, alive, pids).value == []


def test_threads_that_continue_do_not_write_into_the_next_tasks_output(
    executor: AWSLambdaContainerExecutor,
):
    def start() -> None:
        import threading
        import time

        def talk() -> None:
            for _ in range(30):
                print("from the thread", flush=True)
                time.sleep(0.1)

        threading.Thread(target=talk, daemon=True).start()

    def listen() -> None:
        import time

        print("own words")
        time.sleep(0.5)

    run(executor, start)
    assert run(executor, listen).stdout == "own words\n"
    time.sleep(3)


def test_an_import_error_in_the_task(executor: AWSLambdaContainerExecutor):
    def load() -> None:
        import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401

    ended = run(executor, load)
    assert ended.status == "FAILED"
    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere'" in ended.stderr
    assert "DepsPip" in ended.stderr


def test_retries_are_for_crashes_only(
    executor: AWSLambdaContainerExecutor,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    def crash() -> None:
        import os

        os._exit(1)

    def fail() -> None:
        raise ValueError("once")

    monkeypatch.setattr(logging.getLogger("covalent_lambda_container"), "propagate", True)
    caplog.set_level("WARNING")
    again = AWSLambdaContainerExecutor(**_options(executor), retries=2)
    with pytest.raises(FunctionCrashed):
        run(again, crash)
    again_s = {record.created for record in caplog.records if "Rerunning task" in record.message}
    assert len(again_s) == 2
    caplog.clear()
    assert run(again, fail).status == "FAILED"
    assert not caplog.records


def _options(executor: AWSLambdaContainerExecutor) -> dict[str, Any]:
    return executor.options().model_dump()
