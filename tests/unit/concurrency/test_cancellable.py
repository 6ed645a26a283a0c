"""Blocking work stops at once when it is cancelled."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import pytest

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled

LONG_S = 60.0


def wait_for_event() -> None:
    over = threading.Event()
    with cancellable.stopped_by(over.set):
        assert over.wait(LONG_S)
        raise OSError("what was waited for was closed")


def wait_for_future() -> None:
    cancellable.result(Future())


@pytest.mark.parametrize(
    "wait", [partial(cancellable.sleep, LONG_S), wait_for_event, wait_for_future]
)
def test_waiting_steps_stop_at_once(wait: Callable[[], object]) -> None:
    cancellation, waiting = Cancellation(), threading.Event()

    def work() -> object:
        waiting.set()
        return wait()

    started = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(cancellable.bound(work, cancellation))
        assert waiting.wait(10)
        time.sleep(0.05)
        cancellation.request()
        with pytest.raises(Cancelled):
            working.result(10)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize(
    "wait", [partial(cancellable.sleep, LONG_S), wait_for_event, wait_for_future]
)
def test_nothing_waits_that_was_cancelled_before(wait: Callable[[], object]) -> None:
    cancellation = Cancellation()
    cancellation.request()
    started = time.monotonic()
    with pytest.raises(Cancelled), cancellable.under(cancellation):
        wait()
    assert time.monotonic() - started < 10


def test_without_a_cancellation_nothing_changes() -> None:
    done: Future[int] = Future()
    done.set_result(3)
    assert cancellable.current() is None
    cancellable.check()
    cancellable.sleep(0)
    assert cancellable.result(done) == 3
    assert list(cancellable.checked([1, 2])) == [1, 2]
    with pytest.raises(OSError, match="own"), cancellable.stopped_by(lambda: 1 // 0):
        raise OSError("own")


def test_a_failure_before_the_cancellation_is_raised_unchanged() -> None:
    with pytest.raises(OSError, match="own"), cancellable.under(Cancellation()):
        raise OSError("own")


def test_a_failure_after_the_cancellation_is_the_cancellation() -> None:
    cancellation = Cancellation()

    def lose_connection() -> None:
        cancellation.request()
        raise OSError("connection lost")

    with pytest.raises(Cancelled) as raised:
        cancellable.bound(lose_connection, cancellation)()
    assert str(raised.value.__cause__) == "connection lost"


def test_pieces_end_with_the_cancellation() -> None:
    cancellation, seen = Cancellation(), []

    def read() -> None:
        for piece in cancellable.checked(range(100)):
            seen.append(piece)
            if piece == 2:
                cancellation.request()

    with pytest.raises(Cancelled):
        cancellable.bound(read, cancellation)()
    assert seen == [0, 1, 2]


def test_the_stop_of_a_step_is_not_called_after_the_step() -> None:
    cancellation, stopped = Cancellation(), []
    with cancellable.under(cancellation):
        with cancellable.stopped_by(lambda: stopped.append("step")):
            pass
        cancellation.request()
    assert stopped == []


def test_the_context_ends_with_its_block() -> None:
    outer, inner = Cancellation(), Cancellation()
    with cancellable.under(outer):
        with cancellable.under(inner):
            assert cancellable.current() is inner
        assert cancellable.current() is outer
    assert cancellable.current() is None


@pytest.mark.parametrize("ends", ["whole", "by a failure", "cancelled"])
def test_parts_in_other_threads_stop_with_the_work(ends: str) -> None:
    whole, seen = Cancellation(), []

    def work() -> None:
        with cancellable.parts() as cancellation:
            seen.append(cancellation)
            if ends == "by a failure":
                raise OSError("full")
            if ends == "cancelled":
                whole.request()

    with contextlib.suppress(OSError):
        cancellable.bound(work, whole)()
    (part,) = seen
    assert part.requested is (ends != "whole")
    whole.request()
    assert part.requested is (ends != "whole")
