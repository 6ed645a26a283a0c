"""Rounds of questions: how many there are, how long they take, and whom they ask for what."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.functions import ConnectionLost, Reply
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes import FakeBlobStore, virtual_time
from tests.fakes.examples import call, task
from tests.unit.tasks.pool import NAME, Pool, run_all


class Watched(Pool):
    """A pool that notes the questions it is asked, with the time."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: list[tuple[float, dict[str, Any]]] = []

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        said = json.loads(event)
        if "ping" in said:
            self.asked.append((asyncio.get_running_loop().time(), said))
        return await super().invoke(name, event, timeout_s=timeout_s)


def test_tasks_that_lambda_refuses_count_as_no_environments(blobs: FakeBlobStore) -> None:
    # 200 tasks wait for 60 environments, and all are sent again and again.
    pool = Pool(blobs, "any", 60, cut=200, seconds=[0.2])
    ended = virtual_time.run(run_all(pool, blobs, 200))
    assert [type(one) for one in ended] == [Outcome] * 200
    assert pool.refused_questions == 0
    assert pool.most_asking <= 60


def test_questions_start_at_most_one_environment_for_each_missing_answer(
    blobs: FakeBlobStore,
) -> None:
    # The environments are busy: long tasks whose connections broke run in all of them.
    class Cut(Watched):
        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            running = asyncio.ensure_future(super().invoke(name, event, timeout_s=timeout_s))
            if "ping" in json.loads(event):
                return await running
            running.add_done_callback(lambda ended: ended.exception())
            await asyncio.sleep(2)
            raise ConnectionLost("reset by peer")

    pool = Cut(blobs, "any", 1000, cut=30, seconds=[700.0])
    ended = virtual_time.run(run_all(pool, blobs, 30, timeout_s=900))
    assert [type(one) for one in ended] == [Outcome] * 30
    assert pool.environments <= 90
    assert pool.most_asking <= 60


def test_questions_end_long_before_the_functions_timeout(blobs: FakeBlobStore) -> None:
    pool = Watched(blobs, "any", 1000, cut=20, seconds=[0.2])
    ended = virtual_time.run(run_all(pool, blobs, 20, timeout_s=1))
    assert [type(one) for one in ended] == [Outcome] * 20
    assert {said["hold_s"] for _, said in pool.asked} == {0.5}


def test_environments_that_are_asked_twice_are_held_longer_in_the_next_round(
    blobs: FakeBlobStore,
) -> None:
    class OneAfterTheOther(Watched):
        """Finds environments for invocations one after the other, which takes a moment each."""

        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._turn = asyncio.Lock()

        async def _take(self) -> dict[str, str]:
            async with self._turn:
                await asyncio.sleep(0.3)
            return await super()._take()

    async def run() -> tuple[OneAfterTheOther, list[Outcome | BaseException]]:
        # Tasks of two seconds have all environments started before one is free.
        pool = OneAfterTheOther(blobs, "first", 1000, cut=40, seconds=[13.0, 0.9])
        return pool, await run_all(pool, blobs, 40, timeout_s=300)

    pool, ended = virtual_time.run(run())
    assert [type(one) for one in ended] == [Outcome] * 40
    holds = [said["hold_s"] for _, said in pool.asked]
    assert holds == sorted(holds)
    assert max(holds) >= 2 * min(holds)


def test_a_question_without_a_reply_keeps_no_answer_waiting(blobs: FakeBlobStore) -> None:
    class Deaf(Pool):
        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            if "ping" in json.loads(event):
                await asyncio.sleep(10_000)
            return await super().invoke(name, event, timeout_s=timeout_s)

    async def run() -> tuple[list[Any], float]:
        pool = Deaf(blobs, "last", 10, cut=1, seconds=[0.2])
        return await run_all(pool, blobs, 1), asyncio.get_running_loop().time()

    (ended,), took_s = virtual_time.run(run())
    assert isinstance(ended, InvocationError)
    assert took_s < 100 + 30 + 10, "the function's timeout and a little more"


def test_what_nobody_expects_of_a_question_is_raised(blobs: FakeBlobStore) -> None:
    class Wrong(Watched):
        async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
            if "ping" in json.loads(event):
                raise RuntimeError("unexpected")
            return await super().invoke(name, event, timeout_s=timeout_s)

    pool = Wrong(blobs, "last", 10, cut=1, seconds=[0.2])
    (ended,) = virtual_time.run(run_all(pool, blobs, 1))
    assert isinstance(ended, RuntimeError)


def test_every_missing_answer_is_asked_for_although_an_event_holds_few_ids(
    blobs: FakeBlobStore,
) -> None:
    class Forgetful(Watched):
        """Those whose answers are asked for first have lost them."""

        def _store(self, environment: dict[str, str], task_id: str) -> str:
            return "" if task_id in self.executions[:500] else super()._store(environment, task_id)

    pool = Forgetful(blobs, "any", 1000, cut=520, seconds=[0.2])
    ended = virtual_time.run(run_all(pool, blobs, 520, timeout_s=60, poll_interval_s=30))
    assert [type(one) for one in ended].count(Outcome) == 20
    assert {len(said["store"]) for _, said in pool.asked} == {500}
    early = [said["store"] for at, said in pool.asked if at < 60]
    assert set().union(*early) == set(pool.executions)


def test_an_answer_that_is_missed_later_is_asked_for_soon(blobs: FakeBlobStore) -> None:
    # One answer is lost for good: it is asked for once a minute in the end.
    class Half(Watched):
        def _store(self, environment: dict[str, str], task_id: str) -> str:
            return "" if task_id == self.executions[0] else super()._store(environment, task_id)

    pool = Half(blobs, "last", 2, cut=2, seconds=[0.2])

    async def run() -> tuple[float, Any]:
        loop = asyncio.get_running_loop()
        invoker = Invoker(pool, blobs, now=loop.time)

        async def one() -> Any:
            asked = call(task(abs, -1), NAME, timeout_s=900, poll_interval_s=5)
            return await invoker.run(asked, Cancellation())

        first = asyncio.ensure_future(one())
        await asyncio.sleep(620)
        started = loop.time()
        second = await one()
        took_s = loop.time() - started
        with pytest.raises(InvocationError):
            await first
        return took_s, second

    took_s, second = virtual_time.run(run())
    assert isinstance(second, Outcome)
    assert took_s < 15


def test_prewarmed_environments_are_asked_too(blobs: FakeBlobStore) -> None:
    pool = Watched(blobs, "first", 1000, cut=1, seconds=[0.2])

    async def run() -> Any:
        pings = [pool.invoke(NAME, b'{"ping": true, "hold_s": 0.2}', timeout_s=5) for _ in range(8)]
        await asyncio.gather(*pings)
        loop = asyncio.get_running_loop()
        invoker = Invoker(pool, blobs, now=loop.time)
        asked = call(task(abs, -1), NAME, timeout_s=100, prewarmed=8)
        return await invoker.run(asked, Cancellation())

    assert isinstance(virtual_time.run(run()), Outcome)
    assert len(pool.asked) == 8 + 8
    assert pool.environments == 8
