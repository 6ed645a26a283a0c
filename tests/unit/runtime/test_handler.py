"""The handler: a task comes in and its answer goes out, inside the invocation or through S3."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import cloudpickle
import pytest

from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.s3_envelope import packed_task
from tests.fakes import FakeBlobStore
from tests.fakes.examples import task, value_of

Run = Callable[..., dict[str, Any]]

LIMIT = 100_000
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
    assert len(json.dumps(answer)) <= LIMIT + 100
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
    assert run(print_much, LIMIT + 1, event=event) == IN_S3
    answer, _ = stored(blobs)
    assert len(answer["stdout"]) == LIMIT + 2


def test_the_longest_output_and_error_never_exceed_what_lambda_carries(run: Run) -> None:
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


# -- questions ------------------------------------------------------------------------------------


def test_another_version_of_the_envelope_is_refused_with_both_numbers(run: Run) -> None:
    with pytest.raises(ValueError, match=r"version 1 and was sent 2"):
        run(abs, -1, event={"v": 2})


def test_only_the_first_task_of_a_process_is_a_cold_start(run: Run) -> None:
    usages = [run(abs, -1)["usage"] for _ in range(2)]
    assert [usage["cold"] for usage in usages] == [True, False]
    assert all(usage["duration_ms"] > 0 and usage["peak_memory_mb"] > 1 for usage in usages)


def test_a_ping_says_whether_it_started_the_process(process: Any) -> None:
    assert process.ask(ping=True, hold_s=0) == {"v": 1, "pong": True, "cold": True}
    assert process.ask(ping=True, hold_s=0) == {"v": 1, "pong": True, "cold": False}


def test_an_answer_that_went_out_inline_can_be_asked_for_again(process: Any) -> None:
    answer = process.run(divmod, 17, 5)
    assert process.ask(recall="task 1") == {"v": 1, "recalled": answer}
    assert process.ask(recall="task of another process") == {"v": 1, "recalled": None}


def test_answers_in_s3_are_not_remembered(process: Any, event: dict[str, Any]) -> None:
    process.run(divmod, 17, 5, event=event | {"durable_after_s": 0})
    assert process.ask(recall="task 1")["recalled"] is None


def test_only_the_last_answers_are_remembered(process: Any) -> None:
    for _ in range(20):
        process.run(divmod, 17, 5)
    known = [
        process.ask(recall=f"task {number}")["recalled"] is not None for number in range(1, 21)
    ]
    assert known == [False] * 4 + [True] * 16


def test_large_answers_are_forgotten_sooner(process: Any) -> None:
    for _ in range(5):
        process.run(Large, 4_000_000)
    known = [process.ask(recall=f"task {number}")["recalled"] is not None for number in range(1, 6)]
    assert known == [False] * 2 + [True] * 3


def test_a_durable_answer_that_s3_does_not_take_goes_inline(
    run: Run, event: dict[str, Any], blobs: FakeBlobStore
) -> None:
    forbidden = event | {"durable_after_s": 0, "result_url": event["result_url"] + "0"}
    answer = run(divmod, 17, 5, event=forbidden)
    assert value_of(answer["result"]["pickle"]) == (3, 2)
    assert blobs.objects == {}


def test_a_large_answer_that_s3_does_not_take_is_an_error(run: Run, event: dict[str, Any]) -> None:
    forbidden = event | {"result_url": event["result_url"] + "0"}
    with pytest.raises(OSError, match="S3 answered PUT with HTTP 403"):
        run(Large, LIMIT, event=forbidden)
