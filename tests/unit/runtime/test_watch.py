"""Cancellation in the handler: a sign in S3 ends the task, whatever it is doing."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from covalent_lambda_container.runtime import wire
from covalent_lambda_container.runtime.watch import Cancelled, CancelWatch
from tests.fakes import FakeBlobStore

Run = Callable[..., dict[str, Any]]


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
def test_a_task_that_catches_everything_once_is_told_again(run: Run, event: dict[str, Any]) -> None:
    def cling() -> None:
        try:
            time.sleep(30)
        except BaseException:
            time.sleep(30)

    assert run(cling, event=event)["status"] == wire.CANCELLED


def test_a_task_without_a_sign_ends_by_itself(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(time.sleep, 0.1, event=event)["status"] == wire.COMPLETED
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


def test_not_to_be_told_is_no_reason_to_stop(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    blobs.failing_requests = 99
    assert run(time.sleep, 0.1, event=event)["status"] == wire.COMPLETED


def test_a_task_without_a_url_is_not_watched(run: Run) -> None:
    assert run(lambda: threading.active_count()) is not None
    before = signal.getsignal(signal.SIGUSR1)
    with CancelWatch(None, "task 1", 0.01).over_task():
        assert signal.getsignal(signal.SIGUSR1) is before


def test_the_signal_of_a_process_is_put_back(run: Run, event: dict[str, Any]) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    run(abs, -1, event=event)
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_cancellation_is_no_exception_that_tasks_catch() -> None:
    assert not issubclass(Cancelled, Exception)
