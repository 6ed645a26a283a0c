"""Invocations: how a task is sent, when it is retried, and the errors of failures."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
)
from covalent_lambda_container.files.streams import Readable
from covalent_lambda_container.ports.functions import (
    INACTIVE,
    FunctionMissing,
    FunctionState,
    Reply,
)
from covalent_lambda_container.ports.stores import Parsed
from covalent_lambda_container.progress import reported_to
from covalent_lambda_container.tasks.events import INLINE_LIMIT
from covalent_lambda_container.tasks.invoker import Invoker
from tests.fakes import FakeBlobStore, FakeClock, FakeFunctions
from tests.fakes.examples import call, task, value_of
from tests.unit.tasks.invoking import LARGE, NAME, Runner, answer_of, failure_of


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
    # A task that takes longer than a second, as on a busy machine, also stores its answer.
    assert sum(request.startswith("GET ") for request in blobs.requests) == 1


def test_objects_that_cannot_be_removed_do_not_cost_the_outcome(
    functions: FakeFunctions, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    class KeepingStore(FakeBlobStore):
        def delete(self, keys: list[str]) -> None:
            raise InvocationError(f"delete {len(keys)} S3 objects: AWS answered AccessDenied")

    with KeepingStore() as blobs:
        invoker = Runner(Invoker(functions, blobs, sleep=clock.pause, now=clock.now))
        assert value_of(invoker.run(call(task(len, b"x" * LARGE), NAME)).pickled) == LARGE
    assert "were not removed: delete 1 S3 objects: AWS answered AccessDenied" in caplog.text


def test_two_runs_of_one_node_do_not_share_objects(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    functions.task_duration_s = 31
    for _ in range(2):
        invoker.run(call(task(abs, -1), NAME, cleanup=False))
    assert len(blobs.objects) == 2


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


def test_a_task_refused_with_old_credentials_is_signed_again_as_a_whole(
    functions: FakeFunctions, clock: FakeClock
) -> None:
    signed: list[tuple[str, str]] = []

    class Signing(FakeBlobStore):
        def read_url(self, key: str, *, valid_s: int) -> str:
            signed.append(("GET", key))
            return super().read_url(key, valid_s=valid_s)

        def write_url(self, key: str, *, valid_s: int) -> str:
            signed.append(("PUT", key))
            return super().write_url(key, valid_s=valid_s)

    with Signing() as blobs:
        invoker = Runner(Invoker(functions, blobs, sleep=clock.pause, now=clock.now))
        invoker.run(call(task(abs, -1), NAME))
        before = sorted(signed)
        signed.clear()
        functions.refuse_old_credentials()
        assert value_of(invoker.run(call(task(abs, -1), NAME)).pickled) == 1
        assert len(functions.executions) == 2
        # Twice each: the sign of cancellation has one URL for all tasks of a dispatch.
        assert len(signed) == 2 * len(before)


def test_the_error_after_the_last_attempt_has_advice(
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


def test_a_wait_says_at_once_how_long_it_lasts_and_what_ends_it(
    invoker: Runner, functions: FakeFunctions
) -> None:
    said: list[str] = []
    functions.be_unreachable(1)
    functions.throttle(1)
    with reported_to(said.append):
        assert invoker.run(call(task(abs, -1), NAME)).completed
    unreachable, throttled = [each for each in said if "waiting for Lambda" in each]
    assert unreachable.startswith("waiting for Lambda, up to 60 s: Could not connect to the")
    assert throttled.startswith("waiting for Lambda, up to 900 s: ")
    assert throttled.endswith("Rate Exceeded. Raise the concurrency quota.")


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


def test_a_task_that_was_cancelled_before_is_not_sent(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    cancellation = Cancellation()
    cancellation.request()
    with pytest.raises(Cancelled):
        invoker.run(call(task(abs, -1), NAME), cancellation)
    assert functions.offers == 0
    assert blobs.objects == {}


def test_a_cancelled_task_ends_early_and_leaves_nothing_behind(
    invoker: Runner, functions: FakeFunctions, blobs: FakeBlobStore
) -> None:
    cancellation = Cancellation()

    def cancel_when_begun() -> None:
        while not functions.executions:
            time.sleep(0.01)
        cancellation.request()

    canceller = threading.Thread(target=cancel_when_begun, daemon=True)
    canceller.start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        invoker.run(call(task(time.sleep, 30), NAME, poll_interval_s=0.1), cancellation)
    assert time.monotonic() - started < 25
    canceller.join()
    assert len(functions.executions) == 1
    assert blobs.objects == {}


def test_cancelling_a_task_that_has_ended_changes_nothing(
    invoker: Runner, functions: FakeFunctions
) -> None:
    cancellation = Cancellation()
    assert invoker.run(call(task(abs, -1), NAME), cancellation).completed
    cancellation.request()
    assert len(functions.executions) == 1


def test_cancelling_a_task_that_has_ended_leaves_nothing_behind(
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


def test_a_result_that_is_not_where_it_should_be_is_an_error(
    invoker: Runner, functions: FakeFunctions
) -> None:
    functions.reply_next_with(answer_of({"v": 1, "result_at": "s3"}))
    with pytest.raises(InvocationError, match=r"covalent-lambda/dispatch/7-\w+/result is not"):
        invoker.run(call(task(abs, -1), NAME))
