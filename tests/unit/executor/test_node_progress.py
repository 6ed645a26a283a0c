"""Waiting nodes show the current step: at a limited rate, and nothing after the task has begun."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from covalent_lambda_container.executor.node_progress import Activity, NodeProgress
from covalent_lambda_container.tasks.live_output import Printed

FAST_S = 0.02


class Nodes:
    """Covalent's nodes: what each was given to show."""

    def __init__(self) -> None:
        self.writes: list[tuple[str, int, str, str]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails = False

    async def write(self, dispatch_id: str, node_id: int, stdout: str, stderr: str) -> None:
        await self.gate.wait()
        if self.fails:
            raise OSError("database is locked")
        self.writes.append((dispatch_id, node_id, stdout, stderr))

    def of(self, node_id: int) -> list[str]:
        """Return what a node's stdout showed."""
        return [text.partition(" (since")[0] for _, node, text, _ in self.writes if node == node_id]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what must come, however busy the machine is."""
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(FAST_S)


def shown(scenario: Callable[[NodeProgress, Nodes], Coroutine[Any, Any, None]]) -> Nodes:
    """Run a scenario with short times; return what the nodes were given."""

    async def run() -> Nodes:
        async def sleep(seconds: float) -> None:
            await asyncio.sleep(min(seconds, FAST_S))

        nodes = Nodes()
        await scenario(NodeProgress(nodes.write, interval_s=FAST_S, sleep=sleep), nodes)
        return nodes

    return asyncio.run(run())


def test_all_nodes_that_wait_for_the_same_show_it() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        image = Activity()
        async with progress.shown("d", 1) as first, progress.shown("d", 2) as second:
            first.wait_for(image)
            second.wait_for(image)
            for number, step in enumerate(("installing 12 packages", "pushing layer 3 of 9"), 1):
                image.report(step)
                await until(lambda wanted=2 * number: len(nodes.writes) == wanted)

    nodes = shown(scenario)
    for node_id in (1, 2):
        assert nodes.of(node_id) == ["installing 12 packages", "pushing layer 3 of 9"]


def test_steps_that_change_all_the_time_are_shown() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        async with progress.shown("d", 1) as node:
            for sent in range(200):
                node.activity.report(f"pushing: {sent} of 200 MB")
                await asyncio.sleep(FAST_S / 10)

    seen = shown(scenario).of(1)
    assert 2 <= len(seen) < 100
    assert all(text.startswith("pushing: ") for text in seen)


def test_how_far_a_step_is_does_not_change_since_when_it_is_done() -> None:
    activity = Activity()
    activity.report("pushing: 1 of 9 layers")
    activity.since = 1.0
    activity.report("pushing: 2 of 9 layers")
    assert activity.since == 1.0
    assert activity.text == "pushing: 2 of 9 layers"
    activity.report("creating the function")
    assert activity.since > 1.0


def test_the_time_since_when_is_shown() -> None:
    activity = Activity()
    activity.report("building")
    since = activity.since
    activity.report("building")
    assert activity.since == since
    assert activity.line.startswith("building (since ")
    assert activity.line.endswith(" UTC)\n")


def test_short_steps_are_not_shown() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        async with progress.shown("d", 1) as node:
            node.activity.report("looking for the image")

    assert shown(scenario).writes == []


def test_a_task_that_began_gets_no_late_update() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        nodes.gate.clear()

        async def waits() -> None:
            async with progress.shown("d", 1) as node:
                node.activity.report("building")
                await asyncio.sleep(FAST_S * 5)
            # As Covalent's own update, which must be the last.
            nodes.writes.append(("d", 1, "printed", ""))

        task = asyncio.create_task(waits())
        await asyncio.sleep(FAST_S * 8)
        assert not task.done()
        nodes.gate.set()
        await task
        await asyncio.sleep(FAST_S * 5)

    assert shown(scenario).of(1) == ["building", "printed"]


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_a_task_that_never_began_leaves_nothing_behind(error: type[BaseException]) -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        with contextlib.suppress(error):
            async with progress.shown("d", 1) as node:
                node.activity.report("building")
                await asyncio.sleep(FAST_S * 8)
                raise error

    assert shown(scenario).of(1) == ["building", ""]


def test_a_cancelled_task_gets_no_update_while_its_work_continues() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        async def work() -> None:
            async with progress.shown("d", 1) as node:
                node.activity.report("building")
                await asyncio.sleep(FAST_S * 8)
                node.activity.report("pushing")
                await asyncio.sleep(FAST_S * 8)
                raise ValueError

        task = asyncio.create_task(work())
        await asyncio.sleep(FAST_S * 6)
        await progress.leave("d", 1)
        await asyncio.gather(task, return_exceptions=True)

    assert shown(scenario).of(1) == ["building"]


def test_a_failed_update_is_made_up_for() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        nodes.fails = True
        async with progress.shown("d", 1) as node:
            node.activity.report("building")
            await asyncio.sleep(FAST_S * 6)
            nodes.fails = False
            await asyncio.sleep(FAST_S * 6)

    assert shown(scenario).of(1) == ["building"]


def test_a_node_that_comes_when_all_have_gone_is_shown_too() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        for node_id in (1, 2):
            async with progress.shown("d", node_id) as node:
                node.activity.report("building")
                await asyncio.sleep(FAST_S * 8)
            await asyncio.sleep(FAST_S * 4)

    nodes = shown(scenario)
    assert nodes.of(1) == nodes.of(2) == ["building"]


def test_a_tasks_output_replaces_its_progress() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        async with progress.shown("d", 1) as node:
            node.activity.report("running on Lambda")
            for number in range(1, 5):
                await until(lambda wanted=number: len(nodes.writes) == wanted)
                if number < 4:
                    node.activity.show(Printed("printed\n" * number, "a warning"))

    assert shown(scenario).of(1) == [
        "running on Lambda",
        *("printed\n" * number for number in range(1, 4)),
    ]


@pytest.mark.parametrize(
    ("stdout", "stderr", "together"),
    [
        ("", "warning", "warning"),
        ("printed", "", "printed"),
        ("printed", "warning", "printed\nwarning"),
        ("printed\n", "warning", "printed\nwarning"),
    ],
)
def test_stderr_shows_both_while_the_task_runs(stdout: str, stderr: str, together: str) -> None:
    activity = Activity()
    activity.show(Printed(stdout, stderr))
    assert activity.shown == (stdout, together)


def test_output_that_comes_all_the_time_is_shown_at_intervals() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        async with progress.shown("d", 1) as node:
            for number in range(200):
                node.activity.show(Printed("x" * number, ""))
                await asyncio.sleep(FAST_S / 10)

    seen = shown(scenario).of(1)
    assert 2 <= len(seen) < 100
    assert seen == sorted(seen, key=len)


def test_an_interrupted_task_keeps_its_output() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        with contextlib.suppress(ValueError):
            async with progress.shown("d", 1) as node:
                node.activity.report("running on Lambda")
                await until(lambda: bool(nodes.writes))
                node.activity.show(Printed("printed", ""))
                raise ValueError

    assert shown(scenario).of(1) == ["running on Lambda", "printed"]


def test_a_cancelled_task_shows_nothing_that_comes_late() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        async def work() -> None:
            async with progress.shown("d", 1) as node:
                node.activity.show(Printed("printed", ""))
                await asyncio.sleep(FAST_S * 12)
                raise ValueError

        task = asyncio.create_task(work())
        await asyncio.sleep(FAST_S * 6)
        assert await progress.leave("d", 1) == ("printed", "printed")
        await asyncio.gather(task, return_exceptions=True)

    assert shown(scenario).of(1) == ["printed"]


def test_a_cancelled_task_that_is_not_shown_has_no_output() -> None:
    async def scenario(progress: NodeProgress, nodes: Nodes) -> None:
        assert await progress.leave("d", 1) == ("", "")

    assert not shown(scenario).writes
