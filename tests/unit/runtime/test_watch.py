"""Cancellation in the handler: a sign in S3 ends the task, whatever it is doing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.runtime import wire
from tests.fakes import FakeBlobStore
from tests.fakes.examples import value_of
from tests.unit.runtime.conftest import Process, Run


@pytest.fixture
def event(blobs: FakeBlobStore) -> dict[str, Any]:
    return {"cancel_url": blobs.read_url("cancel", valid_s=60), "cancel_poll_s": 0.02}


@pytest.fixture
def _cancelled(blobs: FakeBlobStore) -> None:
    blobs.put("cancel", b'["task 0", "task 1"]')


@pytest.mark.usefixtures("_cancelled")
def test_a_cancelled_task_ends_and_says_so(run: Run, event: dict[str, Any]) -> None:
    def work() -> None:
        print("working")
        time.sleep(30)

    started = time.monotonic()
    answer = run(work, event=event)
    assert time.monotonic() - started < 5
    assert (answer["status"], answer["stdout"]) == (wire.CANCELLED, "working\n")
    assert answer["error"] is None


@pytest.mark.usefixtures("_cancelled")
def test_a_task_that_catches_exceptions_ends_too(run: Run, event: dict[str, Any]) -> None:
    def cling() -> None:
        while True:
            with contextlib.suppress(Exception):
                time.sleep(30)

    assert run(cling, event=event)["status"] == wire.CANCELLED


@pytest.mark.usefixtures("_cancelled")
def test_a_task_that_catches_everything_once_is_cancelled_again(
    run: Run, event: dict[str, Any]
) -> None:
    def cling() -> None:
        try:
            time.sleep(30)
        except BaseException:
            time.sleep(30)

    assert run(cling, event=event)["status"] == wire.CANCELLED


def test_a_task_without_a_sign_ends_by_itself(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(time.sleep, 1.5, event=event)["status"] == wire.COMPLETED
    assert len(blobs.requests) >= 2
    looks = len(blobs.requests)
    time.sleep(0.1)
    assert len(blobs.requests) <= looks + 1, "nobody looks any more"


@pytest.mark.parametrize("sign", [b'["task 2"]', b"[]", b"", b"no JSON"])
def test_a_sign_that_does_not_name_the_task_is_not_for_it(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore, sign: bytes
) -> None:
    blobs.put("cancel", sign)
    assert run(time.sleep, 0.1, event=event)["status"] == wire.COMPLETED


def test_a_sign_that_cannot_be_read_does_not_stop_the_task(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    blobs.failing_requests = 99
    assert run(time.sleep, 0.1, event=event)["status"] == wire.COMPLETED


def test_a_task_that_catches_everything_is_killed(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    def cling() -> None:
        print("holding on")
        while True:
            with contextlib.suppress(BaseException):
                time.sleep(30)

    assert_ends_early(run, event, blobs, cling)


def test_a_task_that_holds_the_interpreters_lock_is_killed(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    def match() -> None:
        print("holding on")
        re.match(r"(a+)+$", "a" * 50 + "b")

    assert_ends_early(run, event, blobs, match)


def test_a_task_that_ignores_signals_is_killed(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    def ignore() -> None:
        print("holding on")
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        time.sleep(30)

    assert_ends_early(run, event, blobs, ignore)


def assert_ends_early(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore, function: Callable[[], None]
) -> None:
    blobs.put("cancel", b'["task 1"]')
    started = time.monotonic()
    answer = run(function, event=event)
    assert time.monotonic() - started < 5
    assert (answer["status"], answer["stdout"]) == (wire.CANCELLED, "holding on\n")
    assert run(abs, -1)["status"] == wire.COMPLETED, "the next task"


def test_a_slow_s3_delays_neither_answer_nor_output(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/cancel"
        started = time.monotonic()
        answer = run(time.sleep, 0.3, event=event | {"cancel_url": url})
    assert answer["status"] == wire.COMPLETED
    assert answer["usage"]["duration_ms"] < 900
    assert time.monotonic() - started < 5


def test_the_signal_of_a_cancelled_task_does_not_reach_the_next(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    blobs.put("cancel", json.dumps([f"task {2 * n + 1}" for n in range(10)]).encode())
    ended = [process.run(time.sleep, seconds, event=event)["status"] for seconds in [30, 0.1] * 5]
    assert ended == [wire.CANCELLED, wire.COMPLETED] * 5


def test_a_task_that_was_not_cancelled_cannot_say_so(run: Run) -> None:
    def signal_myself() -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(30)

    assert run(signal_myself)["status"] == wire.CRASHED


def replace_the_process() -> None:
    os.execv("/bin/sh", ["sh", "-c", "yes | head -c 1000000; sleep 30"])


def close_everything() -> None:
    os.closerange(3, 1000)
    os.write(1, b"y\n" * 500_000)
    time.sleep(30)


@pytest.mark.parametrize("work", [replace_the_process, close_everything])
def test_a_task_that_closes_its_connection_goes_on_and_is_cancelled(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore, work: Callable[[], None]
) -> None:
    timer = threading.Timer(1, blobs.put, ("cancel", b'["task 1"]'))
    timer.start()
    started = time.monotonic()
    answer = process.run(work, event=event)
    timer.join()
    assert answer["status"] == wire.CANCELLED
    assert answer["stdout"].endswith("y\ny\n")
    assert "bytes left out" in answer["stdout"]
    assert time.monotonic() - started < 5


# -- a task that attacks the process that watches --------------------------------------------------


def signal_watchers(number: int) -> int:
    """Send a signal to the handler's other children; return how many there are."""

    def parent(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])

    template, found = os.getppid(), 0
    handler = parent(template)
    for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
        with contextlib.suppress(OSError):
            if parent(pid) == handler and pid != template:
                os.kill(pid, number)
                found += 1
    return found


def attack_watchers(number: int, seconds: float) -> int:
    time.sleep(0.3)
    found = signal_watchers(number)
    time.sleep(seconds)
    return found


def test_a_task_whose_watching_process_died_is_not_cancelled(
    process: Process, event: dict[str, Any]
) -> None:
    answer = process.run(attack_watchers, signal.SIGKILL, 0.3, event=event)
    assert answer["status"] == wire.COMPLETED
    assert value_of(answer["result"]["pickle"]) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_task_that_attacks_the_watching_process_can_be_cancelled(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore, number: int
) -> None:
    timer = threading.Timer(1, blobs.put, ("cancel", b'["task 1"]'))
    timer.start()
    started = time.monotonic()
    answer = process.run(attack_watchers, number, 20, event=event)
    timer.join()
    assert answer["status"] == wire.CANCELLED
    assert time.monotonic() - started < 6
