"""The handler: from a task's event to its answer, in the invocation or through S3."""

from __future__ import annotations

import json
import operator
import sys
import time
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.s3_envelope import packed_task
from tests.fakes import FakeBlobStore
from tests.fakes.examples import task, value_of
from tests.unit.runtime.conftest import InvocationFailed, Process, Run

LIMIT = 1_000_000
IN_S3 = {"v": wire.VERSION, "result_at": "s3"}


@pytest.fixture
def event(blobs: FakeBlobStore) -> dict[str, Any]:
    return {"result_url": blobs.write_url("result", valid_s=60), "inline_limit": LIMIT}


def stored(blobs: FakeBlobStore) -> tuple[dict[str, Any], list[bytes]]:
    answer, pickles = wire.unpack(blobs.objects["result"])
    return answer, [bytes(pickled) for pickled in pickles]


class Large:
    """A large value that is shown in few words, as arrays are."""

    def __init__(self, size: int) -> None:
        self.content = b"x" * size

    def __str__(self) -> str:
        return "large"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Large) and other.content == self.content


def print_much(count: int) -> None:
    print("x" * count)


def test_a_task_may_come_from_s3(run: Run, blobs: FakeBlobStore) -> None:
    blobs.put("task", packed_task(task(divmod, 17, 5)))
    answer = run(None, event={"task_url": blobs.read_url("task", valid_s=60)})
    assert value_of(answer["result"]["pickle"]) == (3, 2)


def test_a_result_that_fits_as_base64_travels_inline(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    answer = run(Large, LIMIT * 74 // 100, event=event)
    assert value_of(answer["result"]["pickle"]) == Large(LIMIT * 74 // 100)
    assert len(json.dumps(answer)) <= LIMIT + 200
    assert not blobs.requests


def test_a_result_that_does_not_fit_as_base64_goes_to_s3_as_raw_bytes(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(Large, LIMIT * 76 // 100, event=event) == IN_S3
    answer, (pickled,) = stored(blobs)
    assert answer["status"] == wire.COMPLETED
    assert "pickle" not in answer["result"]
    assert LIMIT * 76 // 100 < len(pickled) < LIMIT


def test_output_counts_towards_the_limit(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(print_much, 50_001, event=event | {"inline_limit": 50_000}) == IN_S3
    answer, _ = stored(blobs)
    assert len(answer["stdout"]) == 50_002


def test_the_longest_output_and_error_fit_into_lambdas_limit(run: Run) -> None:
    def fail() -> None:
        # Six bytes of JSON for each half of a character outside the BMP.
        for stream in (sys.stdout, sys.stderr):
            stream.write("\N{GRINNING FACE}" * 1_000_000)
        raise ValueError("\N{GRINNING FACE}" * 1_000_000)

    assert len(json.dumps(run(fail))) < wire.LAMBDA_PAYLOAD_LIMIT - 64 * 1024


@pytest.mark.parametrize("function", [Large, print_much])
def test_a_task_that_ran_long_leaves_even_a_small_answer_in_s3(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore, function: Callable[[int], Any]
) -> None:
    assert run(function, 1, event=event | {"durable_after_s": 0}) == IN_S3
    answer, pickles = stored(blobs)
    assert answer["status"] == wire.COMPLETED
    assert cloudpickle.loads(pickles[0]) == function(1)


def test_a_text_of_some_length_is_stored_beside_the_index(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    event = event | {"durable_after_s": 0}
    assert run(lambda: "ä\ud800" * 150_000, event=event) == IN_S3
    answer, (pickled, text) = stored(blobs)
    assert cloudpickle.loads(pickled) == "ä\ud800" * 150_000
    assert answer["result"]["string"] == ""
    assert bytes(text).decode() == "ä\\ud800" * 150_000


def test_a_text_as_long_as_the_data_is_shortened(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(lambda: "ä\ud800" * 3_000_000, event=event) == IN_S3
    answer, (pickled,) = stored(blobs)
    assert cloudpickle.loads(pickled) == "ä\ud800" * 3_000_000
    assert answer["result"]["string"] == "ä\\ud800" * 32 * 1024 + "…"


def test_a_task_that_failed_late_leaves_its_error_in_s3(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(divmod, 1, 0, event=event | {"durable_after_s": 0}) == IN_S3
    answer, pickles = stored(blobs)
    assert answer["error"]["type"] == "ZeroDivisionError"
    assert pickles == []


def test_a_task_that_failed_early_answers_inline(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    assert run(divmod, 1, 0, event=event)["status"] == wire.FAILED
    assert not blobs.requests


def test_another_version_of_the_envelope_is_refused_with_both_numbers(run: Run) -> None:
    with pytest.raises(InvocationFailed, match=r"ValueError: .*version 1 and was sent 2"):
        run(abs, -1, event={"v": 2})


def test_only_the_first_task_of_a_process_is_a_cold_start(run: Run) -> None:
    usages = [run(abs, -1)["usage"] for _ in range(2)]
    assert [usage["cold"] for usage in usages] == [True, False]
    assert all(usage["duration_ms"] > 0 for usage in usages)


def test_the_memory_of_a_task_and_its_result_is_measured(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    small = run(abs, -1, event=event)["usage"]["peak_memory_mb"]
    assert run(operator.mul, b"x", 50_000_000, event=event) == IN_S3
    answer, _ = stored(blobs)
    assert 1 < small < 60
    # The value and its pickle.
    assert 90 < answer["usage"]["peak_memory_mb"] - small < 160


# -- what is sent again ---------------------------------------------------------------------------


def test_a_ping_says_whether_it_started_the_process(process: Process) -> None:
    first, second = process.ping(), process.ping()
    assert first.pop("environment") == second.pop("environment") != ""
    assert first == {"v": 1, "pong": True, "cold": True, "stored": []}
    assert second == {"v": 1, "pong": True, "cold": False, "stored": []}


def test_a_ping_ends_before_the_functions_time_is_up(process: Process) -> None:
    process.ping()
    started = time.monotonic()
    process.ping(hold_s=60, timeout_s=1.2)
    assert time.monotonic() - started < 1


def test_an_answer_that_went_out_inline_is_stored_when_it_was_lost(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    sent = process.run(divmod, 17, 5, event=event)
    assert blobs.objects == {}
    assert process.ping(store=["task of another process", "task 1"])["stored"] == ["task 1"]
    answer, (pickled,) = stored(blobs)
    assert cloudpickle.loads(pickled) == (3, 2)
    del sent["result"]["pickle"]
    assert answer == sent
    assert process.ping(store=["task 1"])["stored"] == []


def test_an_error_is_stored_when_it_was_lost(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    sent = process.run(divmod, 1, 0, event=event)
    process.ping(store=["task 1"])
    assert stored(blobs) == (sent, [])


def test_the_next_task_has_lost_answers_stored(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    process.run(divmod, 17, 5, event=event)
    other = {"result_url": "http://127.0.0.1:1/other", "store": ["task 1"]}
    assert process.run(abs, -1, event=event | other)["status"] == wire.COMPLETED
    assert list(blobs.objects) == ["result"]


def test_an_answer_that_s3_did_not_take_may_be_asked_for_again(
    process: Process, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    process.run(divmod, 17, 5, event=event)
    blobs.failing_requests = 99
    assert process.ping(store=["task 1"])["stored"] == []
    blobs.failing_requests = 0
    assert process.ping(store=["task 1"])["stored"] == ["task 1"]


def test_answers_in_s3_are_not_remembered(process: Process, event: dict[str, Any]) -> None:
    process.run(divmod, 17, 5, event=event | {"durable_after_s": 0})
    assert process.ping(store=["task 1"])["stored"] == []


def test_large_answers_are_forgotten_sooner(process: Process, blobs: FakeBlobStore) -> None:
    for number in range(1, 6):
        result_url = blobs.write_url(f"result {number}", valid_s=60)
        process.run(Large, 4_000_000, event={"result_url": result_url})
    process.ping(store=[f"task {number}" for number in range(1, 6)])
    assert sorted(blobs.objects) == ["result 3", "result 4", "result 5"]


# -- an S3 that does not work ---------------------------------------------------------------------


def test_a_durable_answer_that_s3_does_not_take_goes_inline(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    forbidden = event | {"durable_after_s": 0, "result_url": event["result_url"] + "0"}
    answer = run(divmod, 17, 5, event=forbidden)
    assert value_of(answer["result"]["pickle"]) == (3, 2)
    assert blobs.objects == {}


def test_a_large_answer_outlasts_seconds_without_s3(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    blobs.failing_requests = 4
    started = time.monotonic()
    assert run(Large, LIMIT, event=event) == IN_S3
    assert time.monotonic() - started > 2


def test_a_large_answer_is_tried_until_the_functions_deadline_is_near(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    blobs.failing_requests = 999
    started = time.monotonic()
    answer = run(Large, LIMIT, event=event, timeout_s=6)
    assert time.monotonic() - started < 6
    assert blobs.failing_requests < 998, "it was tried once"
    assert (answer["status"], answer["result"]) == (wire.NOT_STORED, None)
    assert answer["error"] == {
        "type": "ResultNotStored",
        "message": "S3 answered PUT with HTTP 503 Service Unavailable (SlowDown: Reduce the rate.)",
        "traceback": "",
    }


def test_a_large_answer_that_s3_refuses_is_not_stored(run: Run, event: dict[str, Any]) -> None:
    forbidden = event | {"result_url": event["result_url"] + "0"}
    answer = run(Large, LIMIT, event=forbidden)
    said = "S3 answered PUT with HTTP 403 Forbidden (SignatureDoesNotMatch: Check your key.)"
    assert answer["error"]["message"] == said
