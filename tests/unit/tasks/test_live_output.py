"""Output of running tasks: how often and how much of it is read, and how it is shown."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.errors import FunctionCrashed, TaskTimedOut
from covalent_lambda_container.files.streams import Readable
from covalent_lambda_container.ports.functions import ACTIVE, FunctionState, Reply
from covalent_lambda_container.ports.stores import Parsed
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.call import TaskObjects
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.live_output import LiveOutputs, Printed, read_printed
from tests.fakes import FakeBlobStore, FakeClock, FakeFunctions
from tests.fakes.examples import call, task

NAME = "covalent-1-2"
KEY = "live"


def packed(stdout: str, stderr: str = "") -> bytes:
    return b"".join(wire.pack_output(stdout.encode(), stderr.encode()))


class Bucket(FakeBlobStore):
    """Has what a function uploads in time, by a clock of its own.

    Parameters
    ----------
    uploads
        Content by the second in which it is uploaded; an exception is raised instead.
    """

    def __init__(self, uploads: dict[float, Any]) -> None:
        super().__init__()
        self.uploads = uploads
        self.time = 0.0
        self.reads: list[float] = []

    def read(
        self, key: str, parse: Callable[[Readable], Parsed], *, limit: int | None = None
    ) -> Parsed | None:
        self.reads.append(self.time)
        past = [moment for moment in self.uploads if moment <= self.time]
        if not past:
            return None
        content = self.uploads[max(past)]
        if isinstance(content, Exception):
            raise content
        assert limit is not None
        return parse(io.BytesIO(content[:limit]))


def shown(
    bucket: Bucket, ends_s: float, *, tasks: int = 1, error: Exception | None = None
) -> list[tuple[float, Printed]]:
    """Return what is shown of tasks that end at the same time, and when."""
    seen: list[tuple[float, Printed]] = []
    waiting: list[tuple[float, asyncio.Future[None]]] = []

    async def sleep(seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.append((bucket.time + seconds, future))
        await future

    async def watch(live: LiveOutputs) -> None:
        objects = TaskObjects.of(call(task(abs, -1), NAME))
        async with live.shown(objects, lambda printed: seen.append((bucket.time, printed))):
            await sleep(ends_s)
            if error:
                raise error

    async def run() -> None:
        live = LiveOutputs(bucket, sleep=sleep, now=lambda: bucket.time)
        watches = [asyncio.create_task(watch(live)) for _ in range(tasks)]
        while running := sum(not watched.done() for watched in watches):
            waiting[:] = [(at, future) for at, future in waiting if not future.done()]
            # Each task sleeps, and so does what looks at its output: otherwise something is done.
            if len(waiting) < 2 * running:
                await asyncio.sleep(0)
                continue
            bucket.time = min(at for at, _ in waiting)
            for at, future in waiting:
                if at <= bucket.time:
                    future.set_result(None)
        await asyncio.gather(*watches, return_exceptions=True)

    with bucket:
        asyncio.run(run())
    return seen


def test_a_task_that_ends_early_is_not_looked_at() -> None:
    bucket = Bucket({1: packed("a")})
    assert shown(bucket, 4.9) == []
    assert bucket.reads == []


def test_uploaded_output_is_shown_soon() -> None:
    # As a function does whose task prints all the time.
    bucket = Bucket({float(moment): packed("x" * moment) for moment in range(8, 61, 5)})
    seen = shown(bucket, 60)
    assert [printed.stdout for _, printed in seen] == ["x" * moment for moment in range(8, 59, 5)]
    for moment, printed in seen[1:]:
        assert moment - len(printed.stdout) <= 1
    # Some two looks for each upload.
    assert len(bucket.reads) <= 30


def test_a_task_that_prints_nothing_is_looked_at_every_three_seconds() -> None:
    bucket = Bucket({50.5: packed("at last")})
    ((moment, _),) = shown(bucket, 60)
    assert moment <= 53.5
    assert len(bucket.reads) <= 60 / 3 + 4


def test_many_tasks_are_looked_at_less_often() -> None:
    bucket = Bucket({6: packed("a")})
    shown(bucket, 60, tasks=200)
    assert len(bucket.reads) <= 60 * 10 + 200


def test_an_error_of_s3_is_not_an_error_of_the_task() -> None:
    bucket = Bucket({6: OSError("out of order"), 12: packed("a")})
    assert [printed.stdout for _, printed in shown(bucket, 20)] == ["a"]


def test_an_interrupted_task_shows_its_last_output() -> None:
    bucket = Bucket({7: packed("a"), 19.9: packed("ab")})
    seen = shown(bucket, 20, error=TaskTimedOut("too long"))
    assert seen[-1] == (20, Printed("ab", ""))


@given(st.binary(max_size=300))
def test_any_bytes_are_read(content: bytes) -> None:
    printed = read_printed(io.BytesIO(content))
    for text in printed:
        # Covalent's store and its page can have it.
        text.encode()


def test_invalid_utf_8_is_shown_as_its_bytes() -> None:
    content = (2).to_bytes(8, "big") + b"a\xff" + "\ud800".encode("utf-8", "surrogatepass")
    assert read_printed(io.BytesIO(content)) == ("a\\xff", "\\xed\\xa0\\x80")


def test_a_hostile_object_costs_little() -> None:
    bucket = Bucket({6: (2**63).to_bytes(8, "big") + b"x" * 50_000_000})
    ((_, printed),) = shown(bucket, 8)
    assert len(printed.stdout) < 2_000_000


# -- through an invoker ---------------------------------------------------------------------------


def ran(
    clock: FakeClock, reply: Reply | None, *, show: Callable[[Printed], None] | None
) -> tuple[dict[str, Any], FakeBlobStore]:
    """Run a task of eight seconds that has uploaded something; return its event and the bucket."""
    with FakeFunctions(clock) as functions, FakeBlobStore() as blobs:
        functions.states[NAME] = FunctionState(state=ACTIVE)
        if reply:
            functions.reply_next_with(reply)
        functions.task_duration_s = 8
        invoker = Invoker(functions, blobs, sleep=clock.pause, now=clock.now)

        async def run() -> None:
            await invoker.run(call(task(abs, -1), NAME), Cancellation(), show)

        with contextlib.suppress(FunctionCrashed):
            asyncio.run(run())
        return functions.executions[0] if functions.executions else {}, blobs


def test_a_task_is_given_a_url_only_if_somebody_looks(clock: FakeClock) -> None:
    event, _ = ran(clock, None, show=None)
    assert not [name for name in event if name.startswith("live")]
    event, blobs = ran(clock, None, show=lambda _: None)
    assert event["live_interval_s"] == 5
    assert event["live_url"].startswith(blobs.url)


def test_a_crashed_task_shows_all_that_it_printed(clock: FakeClock) -> None:
    crashed = {"v": 1, "status": wire.CRASHED, "result": None, "stdout": "all", "stderr": "of it"}
    error = {"type": "Runtime.ExitError", "message": "exit status 3", "traceback": ""}
    usage = {"cold": False, "duration_ms": 8000.0, "peak_memory_mb": 30.0}
    seen: list[Printed] = []
    ran(clock, Reply(payload=crashed | {"error": error, "usage": usage}), show=seen.append)
    assert seen[-1] == ("all", "of it")


def test_the_object_is_removed_when_the_task_has_ended(clock: FakeClock) -> None:
    class Uploading(FakeFunctions):
        async def invoke(self, *args: Any, **kwargs: Any) -> Reply:
            reply = await super().invoke(*args, **kwargs)
            url = self.executions[-1]["live_url"]
            key = url.removeprefix(blobs.url + "/").partition("?")[0]
            blobs.put(key, packed("printed"))
            uploaded.append(key)
            return reply

    uploaded: list[str] = []
    with Uploading(clock) as functions, FakeBlobStore() as blobs:
        functions.states[NAME] = FunctionState(state=ACTIVE)
        functions.task_duration_s = 8
        invoker = Invoker(functions, blobs, sleep=clock.pause, now=clock.now)
        asyncio.run(invoker.run(call(task(abs, -1), NAME), Cancellation(), lambda _: None))
    assert uploaded
    assert blobs.objects == {}
