"""A task can forge any answer: it is either completely valid, or one clear error."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.errors import InvocationError, UnusableAnswer, VersionMismatch
from covalent_lambda_container.ports.functions import Reply
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.answers import validated
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.s3_envelope import read_answer
from tests.fakes import FakeBlobStore, FakeClock
from tests.fakes.examples import call, task

NAME = "covalent-1-2"
ERROR = {"type": "E", "message": "m", "traceback": "t"}
GOOD: dict[str, Any] = {
    "v": wire.VERSION,
    "status": "completed",
    "result": {"header": {}, "string": "", "pickle": ""},
    "stdout": "",
    "stderr": "",
    "error": None,
    "usage": {"cold": False, "duration_ms": 1.0, "peak_memory_mb": 1},
}
SURROGATE = "\ud800"


def but(**changes: Any) -> dict[str, Any]:
    return GOOD | changes


def result(**changes: Any) -> dict[str, Any]:
    return but(result=GOOD["result"] | changes)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


FORGED: dict[str, Any] = {
    "a list": [],
    "a text": "x",
    "null": None,
    "only a version": {"v": wire.VERSION},
    "unknown status": but(status="whatever"),
    "status of another type": but(status=[]),
    "no stdout": without("stdout"),
    "stdout is a number": but(stdout=5),
    "stderr is a list": but(stderr=[1]),
    "stdout has a lone surrogate": but(stdout=SURROGATE),
    "stdout is huge": but(stdout="x" * 3_000_000),
    "completed without a result": without("result"),
    "result is a list": but(result=[1]),
    "result is a text": but(result="x"),
    "header is a list": result(header=[1]),
    "header is null": result(header=None),
    "header is a text": result(header="abc"),
    "attributes are a text": result(header={"attrs": "abc"}),
    "name is a number": result(header={"attrs": {"name": 5}}),
    "requires is a text": result(header={"requires": "abc"}),
    "requires is a number": result(header={"requires": 5}),
    "requires holds a list": result(header={"requires": [["six"]]}),
    "requires is a mapping": result(header={"requires": {"six": 1}}),
    "requires is huge": result(header={"requires": [f"p{i}==1" for i in range(50_000)]}),
    "requires holds a huge line": result(header={"requires": ["a" * 1_000_000]}),
    "string is a number": result(string=5),
    "string has a lone surrogate": result(string=f"{'x' * 5000}{SURROGATE}"),
    "pickle is a number": result(pickle=5),
    "pickle is no base64": result(pickle="!!!!"),
    "pickle is cut": result(pickle="gAVLAS4"),
    "pickle is not ASCII": result(pickle="gAé="),
    "failed without an error": but(status="failed"),
    "error is a text": but(status="failed", error="x"),
    "error is empty": but(status="failed", error={}),
    "error of numbers": but(status="failed", error={"type": 1, "message": 2, "traceback": 3}),
    "error has a lone surrogate": but(status="failed", error=ERROR | {"message": SURROGATE}),
    "missing module is a number": but(status="failed", error=ERROR | {"missing_module": 5}),
    "out of memory is a text": but(status="failed", error=ERROR | {"out_of_memory": "yes"}),
    "usage is a list": but(usage=[1]),
    "usage of texts": but(usage={"duration_ms": "x", "cold": 1, "peak_memory_mb": "y"}),
    "usage is not a number": but(usage=GOOD["usage"] | {"duration_ms": float("nan")}),
    "usage is infinite": but(usage=GOOD["usage"] | {"duration_ms": float("inf")}),
    "usage is negative": but(usage=GOOD["usage"] | {"duration_ms": -1.0}),
    "usage is partial": but(usage={"duration_ms": 1.0}),
}


@pytest.mark.parametrize("answer", FORGED.values(), ids=FORGED)
def test_a_forged_answer_is_one_error_that_says_where(answer: Any) -> None:
    with pytest.raises(UnusableAnswer) as caught:
        validated(answer, NAME)
    assert NAME in caught.value.message
    assert len(str(caught.value)) < 1000
    str(caught.value).encode()


@pytest.mark.parametrize("version", [2, "1", True, None, [], "x" * 10_000])
def test_another_version_is_an_error_of_its_own(version: Any) -> None:
    with pytest.raises(VersionMismatch) as caught:
        validated(but(v=version), NAME)
    assert len(str(caught.value)) < 300


def test_unexpected_fields_are_dropped() -> None:
    header = {"image": "forged", "py_version": "3.11.2", "evil": 1}
    usage = GOOD["usage"] | {"step": "image.push", "subject": "forged", "time": 0}
    answer = validated(result(header=header) | {"usage": usage, "log_tail": "forged"}, NAME)
    assert set(answer["result"]["header"]) == {
        *("py_version", "cloudpickle_version", "attrs", "requires"),
    }
    assert answer["usage"] == GOOD["usage"]
    assert "log_tail" not in answer


def test_an_error_beside_a_result_is_not_the_tasks() -> None:
    assert validated(but(error=ERROR), NAME)["error"] is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.fixed_dictionaries(
        {"v": st.just(wire.VERSION), "status": st.sampled_from(["completed", "failed"])},
        optional={name: json_values for name in GOOD if name not in ("v", "status")},
    )
)
def test_whatever_comes_is_usable_or_unusable(answer: dict[str, Any]) -> None:
    with contextlib.suppress(UnusableAnswer):
        json.dumps(validated(answer, NAME), allow_nan=False).encode()


class Forger:
    """A function that answers as it was caught."""

    def __init__(self, payload: Any) -> None:
        self._payload = payload

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        return Reply(payload=self._payload)


def test_a_cancellation_that_nobody_requested_is_unusable(
    blobs: FakeBlobStore, clock: FakeClock
) -> None:
    invoker = Invoker(Forger(but(status="cancelled")), blobs, sleep=clock.pause, now=clock.now)
    with pytest.raises(UnusableAnswer, match="which nobody has requested"):
        asyncio.run(invoker.run(call(task(abs, -1), NAME), Cancellation()))


@pytest.mark.parametrize("answer", FORGED.values(), ids=FORGED)
def test_a_task_ends_with_that_error(answer: Any, blobs: FakeBlobStore, clock: FakeClock) -> None:
    invoker = Invoker(Forger(answer), blobs, sleep=clock.pause, now=clock.now)
    with pytest.raises(InvocationError):
        asyncio.run(invoker.run(call(task(len, "x"), NAME), Cancellation()))


def packed(index: Any, *blobs: bytes) -> bytes:
    text = index if isinstance(index, bytes) else json.dumps(index).encode()
    return b"".join((len(text).to_bytes(wire.LENGTH_BYTES, "big"), text, *blobs))


RESULT = GOOD | {"result": {"header": {}, "string": "x"}}
FORGED_OBJECTS: dict[str, bytes] = {
    "no envelope": packed({}),
    "an envelope that is a list": packed({"envelope": [1], "blobs": []}),
    "a blob of no result": packed({"envelope": GOOD | {"result": None}, "blobs": [1]}, b"p"),
    "a result without a blob": packed({"envelope": RESULT, "blobs": []}),
    "three blobs": packed({"envelope": RESULT, "blobs": [1, 1, 1]}, b"p", b"t", b"x"),
    "a text that is no UTF-8": packed({"envelope": RESULT, "blobs": [1, 1]}, b"p", b"\xff"),
    "a text that ends too early": packed({"envelope": RESULT, "blobs": [1, 1]}, b"p", b"\xc3"),
    "a negative size": packed({"envelope": RESULT, "blobs": [-5]}),
    "a size that is no whole number": packed({"envelope": RESULT, "blobs": [1.5]}),
    "sizes that are a text": packed({"envelope": RESULT, "blobs": "abc"}),
    "a result that is a text": packed({"envelope": GOOD | {"result": "x"}, "blobs": [1]}, b"p"),
    "a huge index": (1 << 62).to_bytes(wire.LENGTH_BYTES, "big"),
    "nested brackets": packed(b"[" * 200_000),
    "no JSON": packed(b"\xff\xfe"),
}


@pytest.mark.parametrize("content", FORGED_OBJECTS.values(), ids=FORGED_OBJECTS)
def test_a_forged_object_is_the_same_error(content: bytes) -> None:
    with pytest.raises(UnusableAnswer):
        read_answer(io.BytesIO(content))


def test_a_forged_object_is_read_once(clock: FakeClock, blobs: FakeBlobStore) -> None:
    class Storing(Forger):
        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            for_task = json.loads(event)
            key = for_task["result_url"].partition("?")[0].split("/", 3)[3]
            blobs.objects[key] = FORGED_OBJECTS["no envelope"]
            return Reply(payload={"v": wire.VERSION, "result_at": "s3"})

    started = clock.now()
    invoker = Invoker(Storing(None), blobs, sleep=clock.pause, now=clock.now)
    with pytest.raises(InvocationError, match="not a packed answer"):
        asyncio.run(invoker.run(call(task(len, "x"), NAME), Cancellation()))
    assert clock.now() == started
