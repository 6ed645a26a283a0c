"""A value that many threads need is computed once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.concurrency.single_flight import SingleFlight
from covalent_lambda_container.errors import (
    ImageBuildError,
)


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.001)


def test_fifty_threads_make_a_value_once() -> None:
    flights: SingleFlight[str, object] = SingleFlight()
    start = threading.Barrier(50, timeout=10)
    made: list[str] = []

    def make() -> object:
        made.append("made")
        return object()

    def get(_: int) -> object:
        start.wait()
        return flights.get("key", make)

    with ThreadPoolExecutor(50) as threads:
        values = set(threads.map(get, range(50)))
    assert len(values) == len(made) == 1


def test_a_failure_is_raised_in_all_waiting_callers_and_then_forgotten() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    in_flight = threading.Event()

    def fail() -> str:
        in_flight.set()
        waiting = flights._flights["key"].outcome._condition._waiters  # type: ignore[attr-defined]
        wait_until(lambda: len(waiting) == 20)
        raise ImageBuildError("no luck")

    def join() -> str:
        assert in_flight.wait(10)
        return flights.get("key", lambda: "made by one who should have waited")

    with ThreadPoolExecutor(21) as threads:
        first = threads.submit(flights.get, "key", fail)
        others = [threads.submit(join) for _ in range(20)]
        assert {str(one.exception()) for one in (first, *others)} == {"no luck"}
    assert flights.get("key", lambda: "made now") == "made now"


def test_keys_do_not_wait_for_one_another() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    assert flights.get("one", lambda: flights.get("other", lambda: "inner")) == "inner"


def test_a_forgotten_value_is_recreated() -> None:
    flights: SingleFlight[str, int] = SingleFlight()
    numbers = iter([1, 2])
    assert [flights.get("key", lambda: next(numbers)) for _ in range(2)] == [1, 1]
    flights.forget("key")
    assert flights.get("key", lambda: next(numbers)) == 2


def test_a_late_failure_does_not_forget_a_newer_flight() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    first_started, second_started = threading.Event(), threading.Event()
    first_may_fail, second_may_end = threading.Event(), threading.Event()

    def fail() -> str:
        first_started.set()
        first_may_fail.wait(10)
        raise ImageBuildError("late")

    def succeed() -> str:
        second_started.set()
        second_may_end.wait(10)
        return "second"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(flights.get, "key", fail)
        first_started.wait(10)
        flights.forget("key")
        second = threads.submit(flights.get, "key", succeed)
        second_started.wait(10)
        first_may_fail.set()
        assert first.exception()
        second_may_end.set()
        assert second.result() == "second"
    assert flights.get("key", lambda: "third") == "second"


class SlowWork:
    """Work that lasts until it is cancelled, or allowed to end."""

    def __init__(self) -> None:
        self.begun: list[threading.Event] = [threading.Event() for _ in range(3)]
        self.may_end: Future[str] = Future()
        self.stopped = 0
        self.times = 0

    def __call__(self) -> str:
        self.begun[self.times].set()
        self.times += 1
        try:
            return cancellable.result(self.may_end)
        except Cancelled:
            self.stopped += 1
            raise


def test_work_is_cancelled_after_all_waiters_have_cancelled() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work, cancellations = SlowWork(), [Cancellation() for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        asking = []
        for cancellation in cancellations:
            get = cancellable.bound(flights.get, cancellation)
            asking.append(threads.submit(get, "key", work))
            assert work.begun[0].wait(10)
        wait_until(lambda: flights._flights["key"].cancellation._wanting == 3)
        # The one that does the work is the first to leave: it goes on for the others.
        cancellations[0].request()
        cancellations[1].request()
        with pytest.raises(Cancelled):
            asking[1].result(10)
        assert work.stopped == 0
        cancellations[2].request()
        for one in asking:
            with pytest.raises(Cancelled):
                one.result(10)
    assert (work.times, work.stopped) == (1, 1)
    assert flights.get("key", lambda: "made now") == "made now"


def test_a_waiter_that_cannot_cancel_keeps_the_work_running() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    work, cancellation = SlowWork(), Cancellation()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cancellable.bound(flights.get, cancellation), "key", work)
        assert work.begun[0].wait(10)
        second = threads.submit(flights.get, "key", work)
        wait_until(lambda: flights._flights["key"].cancellation._wanting == 2)
        cancellation.request()
        work.may_end.set_result("whole")
        assert second.result(10) == "whole"
        with pytest.raises(Cancelled):
            first.result(10)
    assert work.times == 1


def test_a_waiter_during_the_stop_starts_the_work_again() -> None:
    flights: SingleFlight[str, str] = SingleFlight()
    cancellation, stopping, may_stop = Cancellation(), threading.Event(), threading.Event()

    def stop_slowly() -> str:
        try:
            cancellable.sleep(60)
        finally:
            stopping.set()
            assert may_stop.wait(10)
        return "never"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cancellable.bound(flights.get, cancellation), "key", stop_slowly)
        wait_until(lambda: "key" in flights._flights)
        cancellation.request()
        assert stopping.wait(10)
        late = cancellable.bound(flights.get, Cancellation())
        second = threads.submit(late, "key", lambda: "made again")
        wait_until(lambda: flights._flights["key"].cancellation._wanting == 1)
        may_stop.set()
        assert second.result(10) == "made again"
        assert isinstance(first.exception(10), Cancelled)
