"""Recovery: when many connections break at once, every answer is found."""

from __future__ import annotations

import asyncio
import json
import random
from collections import OrderedDict
from typing import Any

import pytest

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.functions import ConnectionLost, NotAccepted, Reply
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes import FakeBlobStore, virtual_time
from tests.fakes.examples import call, task

NAME = "covalent-1-2"
ANSWER = {
    "v": wire.VERSION,
    "status": wire.COMPLETED,
    "result": {"header": {}, "string": "", "pickle": "gASILg=="},
    "stdout": "",
    "stderr": "",
    "error": None,
    "usage": {},
}


class Pool:
    """A function's execution environments, and connections to it that break.

    Each environment takes one invocation at a time. Who asks gets the free one that was used last,
    or first, or any; if none is free, a new one, which takes a moment to start.

    Parameters
    ----------
    order
        ``"last"``, ``"first"`` or ``"any"``.
    limit
        Most environments at once.
    cut
        How many connections break.
    seconds
        How long tasks take, by turns.
    start_s
        How long a new environment takes to start.
    """

    def __init__(
        self,
        blobs: FakeBlobStore,
        order: str,
        limit: int,
        cut: int,
        seconds: list[float],
        start_s: float = 0.8,
    ) -> None:
        self._start_s = start_s
        self._blobs = blobs
        self._order = order
        self._limit = limit
        self._cut = cut
        self._seconds = seconds
        self._free: list[dict[str, str]] = []
        self._used: set[int] = set()
        self._random = random.Random(1)
        self.environments = 0
        self.questions = 0
        self.asking = 0
        self.most_asking = 0
        self.executions: list[str] = []

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        asked = json.loads(event)
        environment = await self._take()
        try:
            stored = [self._store(environment, task_id) for task_id in asked.get("store", ())]
            if "ping" in asked:
                return await self._answer_question(environment, asked, [t for t in stored if t])
            self._used.add(id(environment))
            self.executions.append(asked["id"])
            seconds = self._seconds[len(self.executions) % len(self._seconds)]
            await asyncio.sleep(seconds)
            if seconds >= asked["durable_after_s"]:
                self._put(asked["result_url"])
                answer: dict[str, Any] = {"v": wire.VERSION, "result_at": "s3"}
            else:
                environment[asked["id"]] = asked["result_url"]
                answer = ANSWER
        finally:
            self._free.append(environment)
        if len(self.executions) <= self._cut:
            raise ConnectionLost("reset by peer")
        return Reply(payload=answer)

    async def _answer_question(
        self, environment: dict[str, str], asked: dict[str, Any], stored: list[str]
    ) -> Reply:
        self.questions += 1
        self.asking += 1
        self.most_asking = max(self.most_asking, self.asking)
        await asyncio.sleep(asked["hold_s"])
        self.asking -= 1
        cold = id(environment) not in self._used
        self._used.add(id(environment))
        return Reply(payload={"v": 1, "pong": True, "cold": cold, "stored": stored})

    async def _take(self) -> dict[str, str]:
        if self._free:
            index = {"last": -1, "first": 0, "any": self._random.randrange(len(self._free))}
            return self._free.pop(index[self._order])
        if self.environments >= self._limit:
            raise NotAccepted("TooManyRequestsException")
        self.environments += 1
        await asyncio.sleep(self._start_s)
        return OrderedDict()

    def _store(self, environment: dict[str, str], task_id: str) -> str:
        if task_id not in environment:
            return ""
        self._put(environment.pop(task_id))
        return task_id

    def _put(self, url: str) -> None:
        key = url.partition("?")[0].removeprefix(f"{self._blobs.url}/")
        stored = ANSWER | {"result": {"header": {}, "string": ""}}
        self._blobs.put(key, b"".join(wire.pack(stored, [b"\x80\x04\x88."])))


class CutWhileStarting(Pool):
    """A pool whose connections break while environments start; the tasks run all the same."""

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        running = asyncio.ensure_future(super().invoke(name, event, timeout_s=timeout_s))
        if "ping" in json.loads(event):
            return await running
        running.add_done_callback(lambda ended: ended.exception())
        await asyncio.sleep(0.3)
        raise ConnectionLost("reset by peer")


async def run_all(pool: Pool, blobs: FakeBlobStore, count: int) -> list[Outcome | BaseException]:
    loop = asyncio.get_running_loop()
    invoker = Invoker(pool, blobs, now=loop.time)
    running = [
        invoker.run(call(task(abs, -1), NAME, node_id=number, timeout_s=100), Cancellation())
        for number in range(count)
    ]
    return await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize("order", ["last", "first", "any"])
@pytest.mark.parametrize(("count", "limit"), [(1, 1000), (20, 1000), (200, 1000), (200, 60)])
def test_every_answer_is_found_and_no_task_runs_twice(
    blobs: FakeBlobStore, order: str, count: int, limit: int
) -> None:
    pool = Pool(blobs, order, limit, cut=count, seconds=[0.2, 3.0, 0.01, 20.0])
    ended = virtual_time.run(run_all(pool, blobs, count))
    assert [type(one) for one in ended] == [Outcome] * count
    assert len(pool.executions) == len(set(pool.executions)) == count
    assert pool.most_asking <= pool.environments <= min(count, limit), "questions start none"
    assert pool.questions <= 6 * count
    assert blobs.objects == {}


@pytest.mark.parametrize("order", ["last", "first", "any"])
def test_environments_that_questions_start_do_not_hide_the_others(
    blobs: FakeBlobStore, order: str
) -> None:
    # Connections break long before the environments have started.
    pool = CutWhileStarting(blobs, order, 1000, cut=40, seconds=[0.2, 0.01], start_s=12.0)
    ended = virtual_time.run(run_all(pool, blobs, 40))
    assert [type(one) for one in ended] == [Outcome] * 40
    assert len(pool.executions) == len(set(pool.executions)) == 40


def test_who_says_that_it_stored_an_answer_is_not_believed(blobs: FakeBlobStore) -> None:
    class Lying(Pool):
        """Its environments claim at first that they have stored every answer."""

        lies = 5

        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            asked = json.loads(event)
            if "ping" not in asked or not self.lies:
                return await super().invoke(name, event, timeout_s=timeout_s)
            self.lies -= 1
            return Reply(payload={"v": 1, "pong": True, "cold": False, "stored": asked["store"]})

    pool = Lying(blobs, "any", 1000, cut=3, seconds=[0.2])
    ended = asyncio.run(run_all(pool, blobs, 3))
    assert [type(one) for one in ended] == [Outcome] * 3
    assert not pool.lies


def test_answers_of_short_tasks_come_with_the_tasks_that_follow(blobs: FakeBlobStore) -> None:
    pool = Pool(blobs, "last", 1, cut=1, seconds=[0.2])

    async def run() -> list[Outcome | BaseException]:
        return await run_all(pool, blobs, 5)

    assert [type(one) for one in virtual_time.run(run())] == [Outcome] * 5
    assert pool.questions <= 1


def test_after_a_connection_broke_the_answers_of_short_tasks_are_stored_first(
    blobs: FakeBlobStore,
) -> None:
    wanted: list[float] = []

    class Watched(Pool):
        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            asked = json.loads(event)
            if "id" in asked:
                wanted.append(asked["durable_after_s"])
            return await super().invoke(name, event, timeout_s=timeout_s)

    pool = Watched(blobs, "last", 10, cut=1, seconds=[0.2])

    async def run() -> None:
        loop = asyncio.get_running_loop()
        now = lambda: loop.time() + passed  # noqa: E731
        passed = 0.0
        invoker = Invoker(pool, blobs, now=now)
        for _ in range(3):
            await invoker.run(call(task(abs, -1), NAME), Cancellation())
        passed = 700.0
        await invoker.run(call(task(abs, -1), NAME), Cancellation())

    virtual_time.run(run())
    assert wanted == [1.0, 0.0, 0.0, 1.0]


def test_what_a_function_says_it_has_stored_is_not_believed(blobs: FakeBlobStore) -> None:
    class Liar(Pool):
        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            asked = json.loads(event)
            if "ping" in asked:
                self.questions += 1
                return Reply(payload={"v": 1, "stored": [*asked["store"], 5, None]})
            return await super().invoke(name, event, timeout_s=timeout_s)

    pool = Liar(blobs, "last", 10, cut=1, seconds=[0.2])
    (ended,) = virtual_time.run(run_all(pool, blobs, 1))
    assert isinstance(ended, InvocationError)
    assert "may have run; it was not run again" in str(ended)
    assert pool.questions < 20
