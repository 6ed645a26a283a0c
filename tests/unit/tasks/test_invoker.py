"""Invocations: how a task travels, what is offered again, and what a failure is called."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    PayloadTooLarge,
    ResultNotStored,
    TaskOutOfMemory,
    TaskTimedOut,
    VersionMismatch,
)
from covalent_lambda_container.files.streams import Readable
from covalent_lambda_container.ports.functions import (
    ACTIVE,
    INACTIVE,
    FunctionMissing,
    FunctionState,
    Reply,
)
from covalent_lambda_container.ports.stores import Parsed
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.invoker import INLINE_LIMIT, Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes import FakeBlobStore, FakeClock, FakeFunctions
from tests.fakes.examples import call, task, value_of

NAME = "covalent-1-2"
LARGE = 5_000_000  # bytes; more than six megabytes as base64


@pytest.fixture
def functions(clock: FakeClock) -> Iterator[FakeFunctions]:
    with FakeFunctions(clock) as functions:
        functions.states[NAME] = FunctionState(state=ACTIVE)
        yield functions


class Runner:
    """An invoker, and the cancellation that nobody asks for."""

    def __init__(self, invoker: Invoker) -> None:
        self.invoker = invoker

    def run(self, call: Call, cancellation: Cancellation | None = None) -> Outcome:
        return asyncio.run(self.invoker.run(call, cancellation or Cancellation()))


@pytest.fixture
def invoker(functions: FakeFunctions, blobs: FakeBlobStore, clock: FakeClock) -> Runner:
    return Runner(Invoker(functions, blobs, sleep=clock.pause, now=clock.now))


def answer_of(reply: dict[str, Any]) -> Reply:
    return Reply(payload=reply)


def failure_of(kind: str, message: str, log_tail: str = "") -> Reply:
    payload = {"errorType": kind, "errorMessage": message}
    return Reply(payload=payload, function_error="Unhandled", log_tail=log_tail)


# -- how it travels -------------------------------------------------------------------------------


def test_a_small_task_travels_inline_both_ways(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    def speak(word: str, times: int) -> str:
        print("speaking")
        return word * times

    outcome = invoker.run(call(task(speak, "ha", times=3), NAME))
    assert outcome.completed
    assert value_of(outcome.pickled) == outcome.text == "hahaha"
    assert (outcome.stdout, outcome.stderr, outcome.error) == ("speaking\n", "", None)
    assert outcome.header["attrs"]["name"] == ""
    assert (blobs.requests, blobs.objects) == ([], {})
    (event,) = functions.executions
    assert (event["dispatch_id"], event["node_id"]) == ("dispatch", 7)


def test_a_task_that_raises_is_an_outcome(invoker: Runner) -> None:
    outcome = invoker.run(call(task(divmod, 1, 0), NAME))
    assert not outcome.completed
    assert outcome.error is not None
    assert outcome.error["type"] == "ZeroDivisionError"
    assert "ZeroDivisionError: " in outcome.error["traceback"]


def test_a_large_task_goes_through_s3_and_is_cleaned_up(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    outcome = invoker.run(call(task(len, b"x" * LARGE), NAME))
    assert value_of(outcome.pickled) == LARGE
    assert [request.split()[0] for request in blobs.requests] == ["GET"]
    assert "task" not in functions.executions[0]
    assert blobs.objects == {}


def test_a_large_result_goes_through_s3_and_is_cleaned_up(
    invoker: Runner, blobs: FakeBlobStore
) -> None:
    outcome = invoker.run(call(task(bytearray, LARGE), NAME))
    assert value_of(outcome.pickled) == bytearray(LARGE)
    assert [request.split()[0] for request in blobs.requests] == ["PUT"]
    assert blobs.objects == {}


def test_a_task_that_takes_long_leaves_its_answer_in_s3(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.task_duration_s = 31
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert len(blobs.requests) == 1


def test_tasks_that_end_together_read_their_answers_a_few_at_once(
    functions: FakeFunctions, clock: FakeClock
) -> None:
    reading: list[int] = []
    at_once = []

    class Slow(FakeBlobStore):
        def read(
            self, key: str, parse: Callable[[Readable], Parsed], *, limit: int | None = None
        ) -> Parsed | None:
            reading.append(1)
            at_once.append(len(reading))
            time.sleep(0.02)
            reading.pop()
            return super().read(key, parse, limit=limit)

    with Slow() as blobs:
        invoker = Invoker(functions, blobs, sleep=clock.pause, now=clock.now)
        gone = [Reply(payload={"v": 1, "result_at": "s3"})] * 100
        for reply in gone:
            functions.reply_next_with(reply)

        async def run() -> list[Any]:
            calls = (invoker.run(call(task(abs, -1), NAME), Cancellation()) for _ in gone)
            return await asyncio.gather(*calls, return_exceptions=True)

        ended = asyncio.run(run())
    assert all("is not there" in str(each) for each in ended)
    assert 8 < max(at_once) <= 32


def test_without_cleanup_the_objects_stay_under_the_tasks_name(
    invoker: Runner, blobs: FakeBlobStore
) -> None:
    invoker.run(call(task(bytearray, b"x" * LARGE), NAME, cleanup=False))
    kinds = [re.sub(r"^covalent-lambda/dispatch/7-[0-9a-f]{32}/", "", key) for key in blobs.objects]
    assert kinds == ["task", "result"]


def test_objects_are_cleaned_up_after_a_failure_too(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.reply_next_with(failure_of("Runtime.ExitError", "exit status 1"))
    with pytest.raises(FunctionCrashed):
        invoker.run(call(task(len, b"x" * LARGE), NAME))
    assert blobs.objects == {}


def test_a_task_at_the_limit_is_still_taken_by_lambda(
    invoker: Runner, blobs: FakeBlobStore
) -> None:
    payload = task(len, b"")
    missing = INLINE_LIMIT - call(payload, NAME).payload_bytes
    payload["args"] = task(len, b"x" * (missing * 3 // 4 - 20))["args"]
    assert 0 < INLINE_LIMIT - call(payload, NAME).payload_bytes < 100
    invoker.run(call(payload, NAME))
    assert blobs.requests == []


def test_many_small_leaves_that_are_too_long_as_json_go_through_s3(
    invoker: Runner, blobs: FakeBlobStore
) -> None:
    # Each leaf brings quotes and a comma along, which its own length does not count.
    payload = task(lambda *args: len(args))
    (leaf,) = task(len, "x" * 60)["args"]
    # The function's pickle names its file: how long it is, is the checkout's business.
    payload["args"] = [leaf] * ((INLINE_LIMIT - len(payload["function"])) // len(leaf) - 1)
    assert call(payload, NAME).payload_bytes < INLINE_LIMIT
    assert value_of(invoker.run(call(payload, NAME)).pickled) == len(payload["args"])
    assert len(blobs.requests) == 1


def test_objects_that_cannot_be_removed_do_not_cost_the_outcome(
    functions: FakeFunctions, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class KeepingStore(FakeBlobStore):
        def delete(self, keys: list[str]) -> None:
            raise InvocationError(f"delete {len(keys)} S3 objects: AWS answered AccessDenied")

    with KeepingStore() as blobs:
        invoker = Runner(Invoker(functions, blobs, sleep=clock.pause, now=clock.now))
        assert value_of(invoker.run(call(task(len, b"x" * LARGE), NAME)).pickled) == LARGE
    assert "stay behind: delete 1 S3 objects: AWS answered AccessDenied" in caplog.text


def test_two_runs_of_one_node_do_not_share_objects(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.task_duration_s = 31
    for _ in range(2):
        invoker.run(call(task(abs, -1), NAME, cleanup=False))
    assert len(blobs.objects) == 2


# -- what is offered again ------------------------------------------------------------------------


def test_a_throttled_task_is_offered_again_until_it_is_taken(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.throttle(8)
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert functions.offers == 9
    assert len(functions.executions) == 1
    assert len(clock.sleeps) == 8 + 1  # the last one is the task
    assert all(0 < one <= 5 for one in clock.sleeps[:8])
    assert sum(clock.sleeps[4:8]) > sum(clock.sleeps[:4])


def test_patience_ends_with_an_error_that_says_what_to_do(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.throttle(10_000)
    with pytest.raises(
        InvocationError, match=r"not started within 900 s: TooMany(.|\n)*concurrency quota"
    ):
        invoker.run(call(task(abs, -1), NAME))
    assert functions.executions == []
    assert 880 < clock.now() <= 900
    assert functions.offers < 400, "the invocation itself is limited, too"


def test_a_service_that_cannot_be_reached_is_given_up_sooner(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.be_unreachable(10_000)
    with pytest.raises(
        InvocationError, match=r"not started within 60 s: Could not connect"
    ) as caught:
        invoker.run(call(task(abs, -1), NAME))
    assert "concurrency" not in str(caught.value)
    assert functions.executions == []
    assert 50 < clock.now() <= 60


def test_a_service_that_can_be_reached_again_runs_the_task(
    invoker: Runner, functions: FakeFunctions
) -> None:
    functions.be_unreachable(3)
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert functions.offers == 4


def test_a_throttled_task_outlasts_a_moment_without_a_network(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.throttle(40)
    clock.after(100, lambda: functions.be_unreachable(3))
    assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
    assert clock.now() > 100


def test_a_function_that_slept_refuses_once_and_is_waited_for(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.states[NAME] = FunctionState(state=INACTIVE)
    assert invoker.run(call(task(abs, -1), NAME)).completed
    assert clock.now() >= 20
    assert len(functions.executions) == 1


def test_a_missing_function_is_reported_to_the_caller(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    with pytest.raises(FunctionMissing):
        invoker.run(call(task(len, b"x" * LARGE), "gone"))
    assert functions.executions == []
    assert blobs.objects == {}


# -- lost connections -----------------------------------------------------------------------------


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


def test_what_breaks_the_connection_may_keep_s3_out_of_reach_for_a_while(
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
    with pytest.raises(InvocationError, match=r"was not run again\. Last of all: .*SlowDown"):
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
def test_a_task_whose_answer_was_lost_is_an_error_and_does_not_run_again(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock, arrives: bool
) -> None:
    functions.lose_connection(arrives=arrives, survives=False)
    with pytest.raises(InvocationError, match="may have run; it was not run again"):
        invoker.run(call(task(abs, -1), NAME))
    assert functions.offers == 1
    assert len(functions.executions) == int(arrives)
    assert 60 + 10 <= clock.now() < 60 + 10 + 2 * 5, "until the function's own deadline"


def test_the_answer_is_looked_for_as_often_as_was_asked(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    functions.task_duration_s = 11
    functions.lose_connection()
    invoker.run(call(task(abs, -1), NAME, poll_interval_s=2.5))
    assert set(clock.sleeps) == {1.0, 2.5}, "the first until the first round of questions"


# -- cancellation ---------------------------------------------------------------------------------


def test_a_task_that_was_cancelled_before_is_not_sent(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    cancellation = Cancellation()
    cancellation.request()
    with pytest.raises(Cancelled):
        invoker.run(call(task(abs, -1), NAME), cancellation)
    assert functions.offers == 0
    assert blobs.objects == {}


def test_a_cancelled_task_ends_early_and_leaves_nothing(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    cancellation = Cancellation()
    timer = threading.Timer(0.2, cancellation.request)
    timer.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        invoker.run(call(task(time.sleep, 30), NAME, poll_interval_s=0.1), cancellation)
    assert time.monotonic() - started < 5
    assert len(functions.executions) == 1
    assert blobs.objects == {}


def test_calling_off_a_task_that_has_ended_changes_nothing(
    invoker: Runner, functions: FakeFunctions
) -> None:
    cancellation = Cancellation()
    assert invoker.run(call(task(abs, -1), NAME), cancellation).completed
    cancellation.request()
    assert len(functions.executions) == 1


def test_calling_off_a_task_that_has_ended_leaves_nothing_behind(
    invoker: Runner, blobs: FakeBlobStore
) -> None:
    cancellation = Cancellation()
    invoker.run(call(task(abs, -1), NAME), cancellation)
    cancellation.request()
    assert blobs.objects == {}


def test_a_cancelled_task_is_not_sent_again(
    invoker: Runner, functions: FakeFunctions, clock: FakeClock
) -> None:
    cancellation = Cancellation()
    functions.throttle(20)
    clock.after(3, cancellation.request)
    with pytest.raises(Cancelled):
        invoker.run(call(task(abs, -1), NAME), cancellation)
    assert functions.executions == []


# -- what a failure is called ---------------------------------------------------------------------


def test_a_process_that_ends_by_itself_has_crashed(invoker: Runner) -> None:
    def end() -> None:
        print("about to end", flush=True)
        os._exit(3)

    with pytest.raises(FunctionCrashed, match=r"exit status 3\nLast log lines:\nabout to end$"):
        invoker.run(call(task(end), NAME))


def test_a_process_that_was_killed_needed_more_memory(invoker: Runner) -> None:
    def be_killed() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(TaskOutOfMemory, match=r"more than its 512 MB(.|\n)*memory_size"):
        invoker.run(call(task(be_killed), NAME))


def test_a_process_that_ended_in_a_task_of_a_lost_connection_has_crashed_too(
    invoker: Runner, functions: FakeFunctions
) -> None:
    def end() -> None:
        print("about to end")
        os._exit(3)

    functions.lose_connection()
    with pytest.raises(FunctionCrashed, match=r"exit status 3\nLast log lines:\nabout to end$"):
        invoker.run(call(task(end), NAME))


def test_a_result_that_could_not_be_stored_is_an_error_of_its_own(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    blobs.failing_requests = 999
    with pytest.raises(
        ResultNotStored, match=r"ended, but its result could not be stored in S3: S3 answ.*503"
    ):
        invoker.run(call(task(bytearray, LARGE), NAME, timeout_s=3))
    assert len(functions.executions) == 1


def test_a_task_that_takes_too_long_has_timed_out(invoker: Runner) -> None:
    with pytest.raises(TaskTimedOut, match=r"did not end within 1 s(.|\n)*option timeout"):
        invoker.run(call(task(time.sleep, 30), NAME, timeout_s=1))


@pytest.mark.parametrize(
    ("kind", "message", "error"),
    [
        ("Sandbox.Timedout", "Error: Task timed out after 3.00 seconds", TaskTimedOut),
        ("", "2026-11-01T00:00:00Z 1-2-3 Task timed out after 3.00 seconds", TaskTimedOut),
        ("Runtime.OutOfMemory", "Runtime exited with error: signal: killed", TaskOutOfMemory),
        ("Runtime.ExitError", "Runtime exited with error: signal: killed", TaskOutOfMemory),
        ("Runtime.ExitError", "Runtime exited with error: exit status 1", FunctionCrashed),
        ("Runtime.ExitError", "Runtime exited with error: signal: aborted", FunctionCrashed),
        ("Runtime.ImportModuleError", "No module named 'x'", FunctionCrashed),
        ("Runtime.InvalidEntrypoint", "", FunctionCrashed),
        ("ValueError", "This image reads envelope version 1", FunctionCrashed),
        ("Function.ResponseSizeTooLarge", "exceeded maximum (6291556 bytes).", PayloadTooLarge),
    ],
)
def test_what_lambda_reports_has_a_name(
    invoker: Runner,
    functions: FakeFunctions,
    kind: str,
    message: str,
    error: type[InvocationError],
) -> None:
    functions.reply_next_with(failure_of(kind, message, "START\nlast words\n"))
    with pytest.raises(InvocationError) as caught:
        invoker.run(call(task(abs, -1), NAME))
    assert type(caught.value) is error
    text = str(caught.value)
    assert f"Task dispatch:7 on function {NAME}" in text
    assert "Last log lines:\nSTART\nlast words" in text
    if error in (FunctionCrashed, PayloadTooLarge, TaskOutOfMemory):
        assert message in text
    if error in (TaskTimedOut, TaskOutOfMemory):
        assert "Raise the option" in text


def test_a_failure_without_a_log_says_nothing_of_one(
    invoker: Runner, functions: FakeFunctions
) -> None:
    functions.reply_next_with(failure_of("Runtime.ExitError", "exit status 1", " \n"))
    with pytest.raises(FunctionCrashed, match=r"Runtime.ExitError: exit status 1$"):
        invoker.run(call(task(abs, -1), NAME))


def test_an_answer_of_another_version_is_refused(invoker: Runner, functions: FakeFunctions) -> None:
    functions.reply_next_with(answer_of({"v": 2, "status": "completed"}))
    with pytest.raises(VersionMismatch, match="version 2; this dispatcher reads version 1"):
        invoker.run(call(task(abs, -1), NAME))


def test_a_result_that_is_not_where_it_should_be_is_an_error(
    invoker: Runner, functions: FakeFunctions
) -> None:
    functions.reply_next_with(answer_of({"v": 1, "result_at": "s3"}))
    with pytest.raises(InvocationError, match=r"covalent-lambda/dispatch/7-\w+/result is not"):
        invoker.run(call(task(abs, -1), NAME))
