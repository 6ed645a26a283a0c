"""Cancelled tasks stop the image and the function that they wait for, and nobody else's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.covalent_api.task import bare_task
from covalent_lambda_container.executor.targets import FunctionTargets
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import Requirements
from tests.fakes import FakeBlobStore, FakeFunctions, FakeImageBuilder, FakeRegistry

LONG_S = 60.0
TASK = bare_task(Requirements(packages=("iniconfig==2.1.0",)))


class Dispatcher:
    """Executors of one account, of which the first build lasts until it is cancelled."""

    def __init__(self, folder: Path, blobs: FakeBlobStore) -> None:
        self.blobs = blobs
        self.registry, self.functions = FakeRegistry(), FakeFunctions()
        self.builder = FakeImageBuilder(self.registry)
        self.builder.while_building = self.build_slowly
        self.building, self.built = threading.Event(), threading.Event()
        self.stopped = 0
        self.provisioner = Provisioner(
            builder=self.builder,
            registry=self.registry,
            functions=self.functions,
            lock_directory=folder,
        )

    def build_slowly(self) -> None:
        self.building.set()
        try:
            with cancellable.stopped_by(self.built.set):
                assert self.built.wait(LONG_S)
                cancellable.check()
        except Cancelled:
            self.stopped += 1
            raise

    def targets(self, **options: Any) -> FunctionTargets:
        unused: Any = None
        return FunctionTargets(
            Options.check(options),
            provisioner=self.provisioner,
            functions=self.functions,
            invocations=unused,
            bucket=self.blobs,
            identity=str,
            prepared=set(),
        )


@pytest.fixture
def dispatcher(tmp_path: Path) -> Iterator[Dispatcher]:
    with FakeBlobStore() as blobs:
        yield Dispatcher(tmp_path, blobs)


async def begun(dispatcher: Dispatcher, *wanted: FunctionTargets) -> None:
    """Wait until an image is being built that all of them want."""
    ends = time.monotonic() + 10
    flights = dispatcher.provisioner._images._flights
    while sum(flight.cancellation._wanting for flight in flights.values()) < len(wanted):
        assert time.monotonic() < ends
        await asyncio.sleep(0.01)
    assert await asyncio.to_thread(dispatcher.building.wait, 10)


def test_a_build_stops_at_once_with_the_last_task_that_waits_for_it(
    dispatcher: Dispatcher,
) -> None:
    async def run() -> None:
        targets, cancellations = dispatcher.targets(), [Cancellation() for _ in range(3)]
        asking = [asyncio.ensure_future(targets.get(TASK, (), each)) for each in cancellations]
        await begun(dispatcher, targets)
        for cancellation in cancellations[:2]:
            cancellation.request()
        await asyncio.sleep(0.1)
        assert dispatcher.stopped == 0
        cancellations[2].request()
        ended = await asyncio.wait_for(asyncio.gather(*asking, return_exceptions=True), 5)
        assert [type(each) for each in ended] == [Cancelled] * 3

    asyncio.run(run())
    assert (dispatcher.stopped, dispatcher.registry.tags) == (1, set())


def test_an_image_goes_on_for_another_executor_that_waits_for_it(dispatcher: Dispatcher) -> None:
    async def run() -> None:
        # Two functions of one image.
        one, other = dispatcher.targets(), dispatcher.targets(memory_size=2048)
        cancellation = Cancellation()
        first = asyncio.ensure_future(one.get(TASK, (), cancellation))
        await begun(dispatcher, one)
        second = asyncio.ensure_future(other.get(TASK, (), Cancellation()))
        await begun(dispatcher, one, other)
        cancellation.request()
        await asyncio.sleep(0.1)
        assert dispatcher.stopped == 0
        dispatcher.built.set()
        target = await asyncio.wait_for(second, 10)
        assert dispatcher.registry.tags == {target.image.tag}
        assert list(dispatcher.functions.states) == [target.function.name]
        with pytest.raises(Cancelled):
            await first

    asyncio.run(run())


def test_the_next_task_after_a_cancelled_build_gets_its_image(dispatcher: Dispatcher) -> None:
    async def run() -> None:
        targets, cancellation = dispatcher.targets(), Cancellation()
        asking = asyncio.ensure_future(targets.get(TASK, (), cancellation))
        await begun(dispatcher, targets)
        cancellation.request()
        with pytest.raises(Cancelled):
            await asyncio.wait_for(asking, 5)
        dispatcher.built.set()
        target = await asyncio.wait_for(targets.get(TASK, (), Cancellation()), 10)
        assert dispatcher.registry.tags == {target.image.tag}

    asyncio.run(run())
