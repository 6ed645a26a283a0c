"""Values of event loops, work in threads, and the limit on starts per turn."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

from covalent_lambda_container.concurrency.event_loop import PerLoop, StartLimiter, in_thread


def test_each_loop_has_a_value_of_its_own() -> None:
    values = PerLoop(object)

    async def twice() -> tuple[object, object]:
        return values.get(), values.get()

    first, second = asyncio.run(twice()), asyncio.run(twice())
    assert first[0] is first[1]
    assert second[0] is second[1]
    assert first[0] is not second[0]


def test_loops_that_were_closed_are_forgotten() -> None:
    values = PerLoop(object)

    async def ask() -> None:
        values.get()

    for _ in range(3):
        asyncio.run(ask())
    assert len(values._values) == 1


def test_a_loop_of_another_thread_that_comes_meanwhile_keeps_its_value() -> None:
    values = PerLoop(object)
    looking, came = threading.Event(), threading.Event()

    class Loop(asyncio.SelectorEventLoop):
        def is_closed(self) -> bool:
            if threading.current_thread() is late:
                looking.set()
                came.wait(0.2)
            return super().is_closed()

    async def ask() -> object:
        return values.get()

    late = threading.Thread(target=lambda: asyncio.run(ask()))
    with contextlib.closing(Loop()) as first, contextlib.closing(Loop()) as other:
        first.run_until_complete(ask())
        late.start()
        looking.wait()
        value = other.run_until_complete(ask())
        came.set()
        late.join()
        assert other.run_until_complete(ask()) is value


def test_a_thread_runs_blocking_work_and_returns_its_result() -> None:
    async def ask() -> int:
        return await in_thread(divmod, 17, 5)  # type: ignore[arg-type, return-value]

    assert asyncio.run(ask()) == (3, 2)  # type: ignore[comparison-overlap]


def test_an_exception_in_a_thread_is_raised_in_the_caller() -> None:
    async def ask() -> None:
        await in_thread(divmod, 1, 0)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(ask())


def test_as_many_threads_as_are_asked_for_run_at_once() -> None:
    everyone = threading.Barrier(100, timeout=30)

    async def ask() -> None:
        await asyncio.gather(*(in_thread(everyone.wait) for _ in range(100)))

    asyncio.run(ask())


def test_a_loop_that_ends_does_not_wait_for_a_thread() -> None:
    go_on = threading.Event()

    async def ask() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(in_thread(go_on.wait, 30), 0.01)

    started = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - started < 10
    go_on.set()


def test_few_begin_in_each_turn_and_all_do_in_the_end() -> None:
    begun: list[int] = []

    async def begin(turns: StartLimiter, number: int) -> None:
        await turns.take()
        begun.append(number)

    async def all_of_them() -> None:
        turns = StartLimiter()
        running = [asyncio.ensure_future(begin(turns, number)) for number in range(1000)]
        seen = 0
        while seen < 1000:
            await asyncio.sleep(0)
            assert len(begun) - seen <= 32
            seen = len(begun)
        await asyncio.gather(*running)

    asyncio.run(all_of_them())
    assert begun == list(range(1000))


@pytest.mark.parametrize(
    "kind", [StopIteration, SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
)
def test_what_ends_a_program_or_a_coroutine_is_an_error_of_the_thread_alone(
    kind: type[BaseException],
) -> None:
    def end() -> None:
        raise kind("odd")

    async def main() -> str:
        with pytest.raises(RuntimeError, match=f"raised {kind.__name__}: odd") as caught:
            await in_thread(end)
        assert isinstance(caught.value.__cause__, kind)
        # A task nobody waits for at the moment would end the loop all the more.
        ended = asyncio.ensure_future(in_thread(end))
        await asyncio.wait([ended])
        assert isinstance(ended.exception(), RuntimeError)
        return "the loop goes on"

    assert asyncio.run(main()) == "the loop goes on"
