"""Cancellation: whoever runs a task asks, whoever calls it off tells."""

from __future__ import annotations

import pytest

from covalent_lambda_container.concurrency.cancellation import (
    Cancellation,
    CancellationRegistry,
    Cancelled,
)


def test_nothing_happens_until_it_is_requested() -> None:
    told: list[str] = []
    cancellation = Cancellation()
    cancellation.on_request(lambda: told.append("told"))
    cancellation.check()
    assert told == []


def test_a_request_is_told_once_to_all_who_wanted_to_know() -> None:
    told: list[str] = []
    cancellation = Cancellation()
    for name in "ab":
        cancellation.on_request(lambda name=name: told.append(name))  # type: ignore[misc]
    cancellation.request()
    cancellation.request()
    assert told == ["a", "b"]
    with pytest.raises(Cancelled):
        cancellation.check()


def test_whoever_asks_too_late_is_told_at_once() -> None:
    told: list[str] = []
    cancellation = Cancellation()
    cancellation.request()
    cancellation.on_request(lambda: told.append("told"))
    assert told == ["told"]


def test_one_who_fails_does_not_keep_it_from_the_others(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    cancellation = Cancellation()
    cancellation.on_request(lambda: 1 // 0)
    cancellation.on_request(lambda: told.append("told"))
    cancellation.request()
    assert told == ["told"]
    assert "could not be notified" in caplog.text


def test_a_task_is_in_the_register_while_it_runs() -> None:
    register = CancellationRegistry()
    cancellation = register.begin("dispatch", 1)
    assert register.cancel_task("dispatch", 1) is cancellation
    assert register.cancel_task("dispatch", 2) is None
    assert register.cancel_task("other", 1) is None
    register.end("dispatch", 1, cancellation)
    assert register.cancel_task("dispatch", 1) is None


def test_a_task_that_was_called_off_before_does_not_run_once() -> None:
    register = CancellationRegistry()
    assert register.cancel_task("dispatch", 1) is None
    with pytest.raises(Cancelled):
        register.begin("dispatch", 1)
    register.begin("dispatch", 1)
    register.begin("dispatch", 2)


def test_tasks_that_never_come_are_forgotten_one_day() -> None:
    register = CancellationRegistry()
    for node_id in range(10_001):
        register.cancel_task("dispatch", node_id)
    register.begin("dispatch", 0)
    with pytest.raises(Cancelled):
        register.begin("dispatch", 1)


def test_a_task_that_runs_anew_replaces_the_one_before() -> None:
    register = CancellationRegistry()
    first = register.begin("dispatch", 1)
    second = register.begin("dispatch", 1)
    register.end("dispatch", 1, first)
    assert register.cancel_task("dispatch", 1) is second
    register.end("dispatch", 1, second)
    assert register.cancel_task("dispatch", 1) is None
