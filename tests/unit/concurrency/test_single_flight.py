"""A value that many threads need is computed once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

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
        waiting = flights._flights["key"]._condition._waiters  # type: ignore[attr-defined]
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


def test_a_forgotten_value_is_made_again() -> None:
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
