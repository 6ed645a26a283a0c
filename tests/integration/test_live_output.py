"""The output of a task in a Lambda container reaches the dispatcher while the task runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.covalent_api.task import read_task
from covalent_lambda_container.errors import FunctionCrashed
from covalent_lambda_container.executor.node_progress import WaitingNode
from covalent_lambda_container.executor.wiring import service_for
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.tasks.outcome import Outcome
from tests.electron import assembled

# Output is looked for every five seconds; tests/e2e/test_live_output.py has a workflow with it.
pytestmark = pytest.mark.slow


class Watched:
    """One task, and what its node was to show while it ran.

    Parameters
    ----------
    options
        The executor's.
    aws
        Makes clients that may do everything.
    """

    def __init__(self, options: dict[str, Any], aws: Callable[[str], Any]) -> None:
        self._options = Options.check(options)
        self._s3 = aws("s3")
        self.shown: list[tuple[str, str]] = []
        self.stored = 0

    def run(self, function: Callable[..., Any], *args: Any) -> Outcome:
        task = read_task(assembled(function), [TransportableObject(arg) for arg in args], {})

        async def run() -> Outcome:
            node = WaitingNode()
            service = service_for(self._options)
            running = asyncio.create_task(
                service.run(task, "live-output", 0, cancellation=Cancellation(), waiting=node)
            )
            try:
                while not running.done():
                    await asyncio.sleep(0.2)
                    self._look(node)
            finally:
                self._look(node)
            return await running

        return asyncio.run(run())

    @property
    def objects(self) -> list[str]:
        """Keys of what is in the bucket for the task."""
        prefix = {"Bucket": self._options.s3_bucket_name, "Prefix": "covalent-lambda/live-output/"}
        found = self._s3.list_objects_v2(**prefix)
        return [entry["Key"] for entry in found.get("Contents", ())]

    def _look(self, node: WaitingNode) -> None:
        self.stored = max(self.stored, sum(key.endswith("/live") for key in self.objects))
        printed = node.activity.printed
        if printed is not None and [tuple(printed)] != self.shown[-1:]:
            self.shown.append(tuple(printed))


def speaker(end: str = "") -> Callable[[int], None]:
    """Return a function that travels by value, as one of a user's script does."""

    def speak(seconds: int) -> None:
        import os
        import sys
        import time

        for second in range(seconds):
            print(f"line {second}")
            time.sleep(1)
        print("a warning", file=sys.stderr)
        if end == "crash":
            os._exit(3)

    return speak


@pytest.fixture
def watched(options: dict[str, Any], cache_dir: str, aws: Callable[[str], Any]) -> Any:
    def watched(**more: Any) -> Watched:
        return Watched(options | {"cache_dir": cache_dir, "memory_size": 1002} | more, aws)

    return watched


def test_output_comes_while_the_task_runs_and_leaves_nothing_behind(watched: Any) -> None:
    task = watched()
    outcome = task.run(speaker(), 13)
    assert outcome.stdout == "".join(f"line {second}\n" for second in range(13))
    assert outcome.stderr == "a warning\n"
    assert len(task.shown) >= 2
    assert all(outcome.stdout.startswith(stdout) for stdout, _ in task.shown)
    assert task.stored == 1
    assert task.objects == []


def test_a_crashed_task_shows_all_that_it_printed(watched: Any) -> None:
    task = watched()
    with pytest.raises(FunctionCrashed):
        task.run(speaker("crash"), 7)
    stdout, both = task.shown[-1]
    assert stdout == "".join(f"line {second}\n" for second in range(7))
    warning, usage = both.removeprefix(stdout).splitlines()
    assert warning == "a warning"
    assert usage.startswith("Lambda usage: ")
    assert task.objects == []


def test_without_the_option_nothing_is_uploaded(watched: Any) -> None:
    task = watched(live_output=False)
    assert task.run(speaker(), 7).completed
    assert (task.shown, task.stored) == ([], 0)
