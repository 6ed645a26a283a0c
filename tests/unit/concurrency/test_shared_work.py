"""Shared work: done once, failures forgotten, stopped when nobody needs it any more."""

from __future__ import annotations

import asyncio
import time

import pytest

from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.concurrency.shared_work import SharedWork


class Maker:
    """Makes a number in two steps; each may be held up."""

    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.go_on = asyncio.Event()
        self.problems: list[Exception] = []

    async def __call__(self, cancellation: Cancellation) -> int:
        self.begun += 1
        await self.go_on.wait()
        if self.problems:
            raise self.problems.pop()
        cancellation.check()
        await asyncio.sleep(0)
        self.ended += 1
        return self.ended


def test_work_is_done_once_for_all_callers() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make = Maker()
        asking = [asyncio.ensure_future(work.get("a", make, Cancellation())) for _ in range(20)]
        await asyncio.sleep(0)
        make.go_on.set()
        assert await asyncio.gather(*asking) == [1] * 20
        assert await work.get("a", make, Cancellation()) == 1
        assert await work.get("b", make, Cancellation()) == 2
        assert work.forget("a", 1)
        assert await work.get("a", make, Cancellation()) == 3
        assert make.begun == 3

    asyncio.run(ask())


def test_a_failure_is_raised_in_all_waiting_callers_and_forgotten() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make = Maker()
        make.problems.append(OSError("no"))
        make.go_on.set()
        asking = [asyncio.ensure_future(work.get("a", make, Cancellation())) for _ in range(3)]
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(one) for one in ended] == [OSError] * 3
        assert await work.get("a", make, Cancellation()) == 1

    asyncio.run(ask())


def test_a_cancelled_caller_leaves_the_work_to_the_others() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make = Maker()
        cancelled, other = Cancellation(), Cancellation()
        first = asyncio.ensure_future(work.get("a", make, cancelled))
        second = asyncio.ensure_future(work.get("a", make, other))
        await asyncio.sleep(0)
        cancelled.request()
        make.go_on.set()
        with pytest.raises(Cancelled):
            await first
        assert await second == 1

    asyncio.run(ask())


def test_work_that_nobody_needs_any_more_stops_at_its_next_step() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make = Maker()
        cancellations = [Cancellation(), Cancellation()]
        asking = [asyncio.ensure_future(work.get("a", make, one)) for one in cancellations]
        await asyncio.sleep(0)
        for cancellation in cancellations:
            cancellation.request()
        make.go_on.set()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert [type(one) for one in ended] == [Cancelled] * 2
        assert (make.begun, make.ended) == (1, 0)
        assert await work.get("a", make, Cancellation()) == 1

    asyncio.run(ask())


def test_a_waiter_that_goes_away_does_not_end_the_work() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make = Maker()
        first = asyncio.ensure_future(work.get("a", make, Cancellation()))
        second = asyncio.ensure_future(work.get("a", make, Cancellation()))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        make.go_on.set()
        assert await second == 1
        assert make.begun == 1

    asyncio.run(ask())


def test_a_caller_that_was_cancelled_before_begins_nothing() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make = Maker()
        cancellation = Cancellation()
        cancellation.request()
        with pytest.raises(Cancelled):
            await work.get("a", make, cancellation)
        assert make.begun == 0

    asyncio.run(ask())


def test_a_caller_after_cancelled_work_does_not_get_its_cancellation() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make, cancelled = Maker(), Cancellation()
        first = asyncio.ensure_future(work.get("a", make, cancelled))
        await asyncio.sleep(0)
        cancelled.request()
        make.go_on.set()
        late: list[asyncio.Future[int]] = []

        def come(_: object) -> None:
            # In the same turn of the loop, before anybody has noticed the end.
            late.append(asyncio.ensure_future(work.get("a", make, Cancellation())))

        (running,) = (one for one in asyncio.all_tasks() if "_Flight._run" in repr(one))
        running.add_done_callback(come)
        with pytest.raises(Cancelled):
            await first
        assert await late[0] == 1

    asyncio.run(ask())


def test_outdated_values_are_dropped_and_work_that_is_running_is_not() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make, slow = Maker(), Maker()
        make.go_on.set()
        assert await work.get("a", make, Cancellation()) == 1
        assert await work.get("b", make, Cancellation()) == 2
        running = asyncio.ensure_future(work.get("slow", slow, Cancellation()))
        await asyncio.sleep(0)
        assert work.forget_done(lambda key: key != "b") == [1]
        assert await work.get("b", make, Cancellation()) == 2
        assert await work.get("a", make, Cancellation()) == 3
        slow.go_on.set()
        assert await running == 1

    asyncio.run(ask())


def test_ten_thousand_leave_in_time_and_only_the_last_one_stops_the_work() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        make, stopped = Maker(), []

        async def watched(cancellation: Cancellation) -> int:
            cancellation.on_request(lambda: stopped.append("stopped"))
            return await make(cancellation)

        cancellations = [Cancellation() for _ in range(10_000)]
        asking = [asyncio.ensure_future(work.get("a", watched, one)) for one in cancellations]
        for _ in range(2):
            # They ask, and the work begins.
            await asyncio.sleep(0)
        started = time.monotonic()
        for cancellation in cancellations[1:]:
            cancellation.request()
        assert stopped == []
        cancellations[0].request()
        assert stopped == ["stopped"]
        assert time.monotonic() - started < 5
        make.go_on.set()
        ended = await asyncio.gather(*asking, return_exceptions=True)
        assert {type(one) for one in ended} == {Cancelled}

    asyncio.run(ask())


def test_a_value_that_many_callers_find_wrong_is_computed_once() -> None:
    async def ask() -> None:
        work: SharedWork[str, object] = SharedWork()
        wrong, right = object(), object()
        values, go_on = [wrong, right], asyncio.Event()

        async def make(_: Cancellation) -> object:
            value = values.pop(0)
            if value is right:
                await go_on.wait()
            return value

        assert await work.get("a", make, Cancellation()) is wrong
        assert work.forget("a", wrong)
        again = asyncio.ensure_future(work.get("a", make, Cancellation()))
        await asyncio.sleep(0)
        assert not work.forget("a", wrong), "another one is being computed"
        go_on.set()
        assert await again is right
        assert not work.forget("a", wrong), "another one was computed"
        assert await work.get("a", make, Cancellation()) is right
        assert not work.forget("b", wrong)

    asyncio.run(ask())


def test_work_that_failed_a_moment_ago_has_no_value_to_forget() -> None:
    async def ask() -> None:
        work: SharedWork[str, int] = SharedWork()
        forgotten = []

        async def fail(_: Cancellation) -> int:
            # Before anybody learns of the failure.
            asyncio.get_running_loop().call_soon(lambda: forgotten.append(work.forget("a", 1)))
            raise ValueError

        with pytest.raises(ValueError):
            await work.get("a", fail, Cancellation())
        assert forgotten == [False]

    asyncio.run(ask())
