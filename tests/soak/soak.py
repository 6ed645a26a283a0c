"""A soak: tasks and faults of all kinds, and the conditions that must hold nevertheless."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cloudpickle
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.covalent_api.task import Task, read_task
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.options.schema import Options
from tests.electron import assembled
from tests.soak import report
from tests.soak.checks import Checks
from tests.soak.faults import Faults
from tests.soak.report import Held, Report
from tests.soak.sublattice import sublattice_task
from tests.soak.system import LosableStack, System, running_system
from tests.soak.work import KINDS, SIZES, Marks, work

TIMEOUT_S = 15
AT_ONCE = 6


class Soak:
    """Runs tasks on the local stack through proxies that break.

    Parameters
    ----------
    losable, options
        The stack, and executor options that lead to it.
    seed
        Of what is random.
    """

    def __init__(self, losable: LosableStack, options: dict[str, Any], seed: int) -> None:
        self._losable = losable
        self._options = Options(**options, timeout=TIMEOUT_S, memory_size=1003, poll_freq=1.0)
        self._random = random.Random(seed)
        self._marks = Marks()
        self._hits: dict[int, set[str]] = defaultdict(set)
        self._system: System
        self._checks: Checks
        self.report = Report(seed)

    def run(self, minutes: float) -> Report:
        """Run tasks and faults for so long, and return what was seen."""
        # These modules are not in the image.
        for module in (work.__module__, sublattice_task.__module__):
            cloudpickle.register_pickle_by_value(sys.modules[module])
        with ExitStack() as cleanup:
            self._system = cleanup.enter_context(
                running_system(self._losable, self._options, self._marks, self._note)
            )
            faults = Faults(
                self._losable,
                self._system.proxies,
                Path(self._options.cache_dir),
                random.Random(self.report.seed),
                self._note,
                self._hits,
            )
            self._checks = Checks(self._marks, faults, self.report)
            asyncio.run(self._run(faults, minutes * 60))
            self._count_objects()
        self.report.begun = sum(self._marks.begun.values())
        for name, count in self._marks.begun.items():
            if count > 1:
                self.report.violated(report.TWICE, f"task {name} ran {count} times")
        self.report.check_held()
        return self.report

    def _note(self, fault: str, node_id: int | None = None) -> None:
        self.report.faults[fault] += 1
        if node_id is not None:
            self._hits[node_id].add(fault)

    async def _run(self, faults: Faults, seconds: float) -> None:
        # Whatever is built for the first time is built in peace.
        for number, kind in enumerate(("instant", "sublattice")):
            task, _ = self._task(f"first-{kind}", kind, 0.0)
            await self._system.service.run(task, "soak", number, cancellation=Cancellation())
        ends = time.monotonic() + seconds
        others = [faults.go_on(seconds), self._watch(seconds)]
        await asyncio.gather(*others, *(self._work(lane, ends) for lane in range(AT_ONCE)))
        self.report.held.append(Held.now())

    async def _watch(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 4)
        self.report.held.append(Held.now())

    def _task(self, name: str, kind: str, seconds: float) -> tuple[Task, list[Any]]:
        if kind == "sublattice":
            return sublattice_task(name, self._system.port)
        values = (name, self._system.port, kind, seconds, SIZES.get(kind, 10))
        args = [TransportableObject(value) for value in values]
        task = read_task(assembled(work), args, {})
        assert isinstance(task, Task)
        return task, args

    async def _work(self, lane: int, ends: float) -> None:
        number = 0
        while time.monotonic() < ends:
            number += 1
            await self._one(f"{lane}-{number}", lane * 100_000 + number)

    async def _one(self, name: str, node_id: int) -> None:
        kind = self._random.choice(KINDS)
        seconds = {"short": self._random.uniform(0.1, 0.9), "long": self._random.uniform(1, 8)}
        lasts = seconds.get(kind, 60.0 if kind in ("timed out", "cancelled") else 0.0)
        cancellation = Cancellation()
        if kind == "cancelled":
            timer = threading.Timer(self._random.uniform(0.1, 2), cancellation.request)
            timer.start()
        self.report.tasks += 1
        began = time.monotonic()
        task, args = self._task(name, kind, lasts)
        try:
            outcome = await self._system.service.run(
                task, "soak", node_id, cancellation=cancellation
            )
        except Cancelled:
            how = "cancelled"
            if kind != "cancelled":
                self.report.violated(report.ERROR, f"task {name} ({kind}): cancelled by nobody")
        except LambdaContainerError as exc:
            how = type(exc).__name__
            self._checks.error(name, node_id, kind, exc, began)
        except Exception as exc:
            how = f"raw {type(exc).__name__}"
            self.report.violated(report.ERROR, f"task {name} ({kind}): raw {exc!r}")
        else:
            how = "completed" if outcome.completed else "failed"
            self._checks.outcome(name, kind, outcome, args)
        self.report.outcomes[kind, how] += 1

    def _count_objects(self) -> None:
        listed = self._losable.owner("s3").list_objects_v2(
            Bucket=self._losable.stack.bucket, Prefix="covalent-lambda/soak/"
        )
        # What a function that went on after its connection had broken stores late is a lifecycle
        # rule's; so is what could not be removed while S3 was out of order.
        self.report.outcomes["objects", "left in S3"] = len(listed.get("Contents", ()))
