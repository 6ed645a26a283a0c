"""Answers of tasks whose connections broke: found in S3 or recalled, or an error."""

from __future__ import annotations

import pytest

from covalent_lambda_container.errors import InvocationError, TaskTimedOut
from tests.fakes import FakeBlobStore, FakeClock, FakeFunctions
from tests.fakes.examples import call, task, value_of
from tests.unit.tasks.invoking import NAME, Runner


def test_a_result_that_went_to_s3_survives_a_lost_connection(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore, clock: FakeClock
) -> None:
    functions.task_duration_s = 42
    functions.lose_connection()
    outcome = invoker.run(call(task(abs, -1), NAME))
    assert value_of(outcome.pickled) == 1
    assert 42 <= clock.now() <= 47, "looked for every five seconds"
    assert (functions.offers, len(functions.executions)) == (1, 1)
    assert blobs.objects == {}


def test_an_error_that_went_to_s3_survives_a_lost_connection(
    invoker: Runner, functions: FakeFunctions
) -> None:
    functions.task_duration_s = 42
    functions.lose_connection()
    outcome = invoker.run(call(task(divmod, 1, 0), NAME))
    assert outcome.error is not None
    assert outcome.error["type"] == "ZeroDivisionError"


def test_s3_may_be_unreachable_for_a_while_after_a_lost_connection(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.task_duration_s = 42
    functions.lose_connection()
    blobs.failing_reads = 10
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert (functions.offers, len(functions.executions)) == (1, 1)


def test_an_answer_that_could_not_be_looked_for_says_why(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.lose_connection(survives=False)
    blobs.failing_reads = 1000
    with pytest.raises(InvocationError, match=r"was not run again\. Last error: .*SlowDown"):
        invoker.run(call(task(abs, -1), NAME))


def test_an_answer_that_is_in_s3_is_read_as_soon_as_s3_gives_it(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore, clock: FakeClock
) -> None:
    functions.task_duration_s = 42
    blobs.failing_reads = 5
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert blobs.objects == {}
    blobs.failing_reads = 1000
    started = clock.now()
    with pytest.raises(InvocationError, match="SlowDown"):
        invoker.run(call(task(abs, -1), NAME))
    assert 42 + 50 <= clock.now() - started <= 42 + 60


def test_a_short_tasks_answer_is_recalled_from_the_environment_that_ran_it(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.task_duration_s = 3
    functions.lose_connection()
    outcome = invoker.run(call(task(divmod, 17, 5), NAME))
    assert value_of(outcome.pickled) == (3, 2)
    assert (functions.offers, len(functions.executions)) == (1, 1)
    assert [request.split()[0] for request in blobs.requests] == ["PUT"]
    assert blobs.objects == {}


@pytest.mark.parametrize("arrives", [True, False])
def test_a_task_whose_answer_was_lost_is_an_error_and_does_not_rerun(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock, arrives: bool
) -> None:
    functions.lose_connection(arrives=arrives, survives=False)
    with pytest.raises(InvocationError, match="may have run; it was not run again"):
        invoker.run(call(task(abs, -1), NAME))
    assert functions.offers == 1
    assert len(functions.executions) == int(arrives)
    assert 60 + 30 <= clock.now() < 60 + 30 + 2 * 5, "until the function's own deadline"


def test_the_start_of_an_environment_is_not_part_of_the_timeout(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.task_duration_s = 60 + 20
    functions.lose_connection()
    outcome = invoker.run(call(task(abs, -1), NAME))
    assert value_of(outcome.pickled) == 1


def test_the_answer_is_looked_for_as_often_as_was_asked(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.task_duration_s = 11
    functions.lose_connection()
    invoker.run(call(task(abs, -1), NAME, poll_interval_s=2.5))
    assert set(clock.sleeps) == {1.0, 2.5}, "the first until the first round of questions"


def test_an_answer_that_was_stored_before_lambda_ended_its_function_is_found(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.task_duration_s = 42
    functions.end_after_answer()
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert blobs.objects == {}


@pytest.mark.parametrize("failing_reads", [0, 1])
def test_a_function_that_was_ended_before_it_stored_an_answer_has_failed(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore, failing_reads: int
) -> None:
    blobs.failing_reads = failing_reads
    functions.end_after_answer()
    with pytest.raises(TaskTimedOut):
        invoker.run(call(task(abs, -1), NAME))
