"""Cancellation: a task checks whether it was cancelled, and is notified of it."""

from __future__ import annotations

import pytest

from covalent_lambda_container.concurrency.cancellation import (
    Cancellation,
    CancellationRegistry,
    Cancelled,
)


def test_nothing_happens_until_it_is_requested() -> None:
    notified: list[str] = []
    cancellation = Cancellation()
    cancellation.on_request(lambda: notified.append("notified"))
    cancellation.check()
    assert notified == []


def test_a_request_runs_each_action_once() -> None:
    notified: list[str] = []
    cancellation = Cancellation()
    for name in "ab":
        cancellation.on_request(lambda name=name: notified.append(name))  # type: ignore[misc]
    cancellation.request()
    cancellation.request()
    assert notified == ["a", "b"]
    with pytest.raises(Cancelled):
        cancellation.check()


def test_an_action_that_comes_too_late_runs_at_once() -> None:
    notified: list[str] = []
    cancellation = Cancellation()
    cancellation.request()
    cancellation.on_request(lambda: notified.append("notified"))
    assert notified == ["notified"]


def test_an_action_that_fails_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    notified: list[str] = []
    cancellation = Cancellation()
    cancellation.on_request(lambda: 1 // 0)
    cancellation.on_request(lambda: notified.append("notified"))
    cancellation.request()
    assert notified == ["notified"]
    assert "could not be notified" in caplog.text


def test_a_task_is_in_the_register_while_it_runs() -> None:
    register = CancellationRegistry()
    cancellation = register.begin("dispatch", 1)
    assert register.cancel_task("dispatch", 1) is cancellation
    assert register.cancel_task("dispatch", 2) is None
    assert register.cancel_task("other", 1) is None
    register.end("dispatch", 1, cancellation)
    assert register.cancel_task("dispatch", 1) is None


def test_a_task_that_was_cancelled_before_does_not_run_once() -> None:
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


def test_a_task_that_runs_again_replaces_the_one_before() -> None:
    register = CancellationRegistry()
    first = register.begin("dispatch", 1)
    second = register.begin("dispatch", 1)
    register.end("dispatch", 1, first)
    assert register.cancel_task("dispatch", 1) is second
    register.end("dispatch", 1, second)
    assert register.cancel_task("dispatch", 1) is None
