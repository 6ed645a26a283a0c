"""Recovery: when many connections break at once, every answer is found."""

from __future__ import annotations

import asyncio
import json

import pytest

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.functions import ConnectionLost, Reply
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from tests.fakes import FakeBlobStore, virtual_time
from tests.fakes.examples import call, task
from tests.unit.tasks.pool import NAME, Pool, run_all


class CutWhileStarting(Pool):
    """A pool whose connections break while environments start; the tasks run all the same."""

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        running = asyncio.ensure_future(super().invoke(name, event, timeout_s=timeout_s))
        if "ping" in json.loads(event):
            return await running
        running.add_done_callback(lambda ended: ended.exception())
        await asyncio.sleep(0.3)
        raise ConnectionLost("reset by peer")


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


def test_a_claim_to_have_stored_an_answer_is_checked(blobs: FakeBlobStore) -> None:
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
    ended = virtual_time.run(run_all(pool, blobs, 3))
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


def test_a_list_of_stored_answers_is_checked(blobs: FakeBlobStore) -> None:
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
