"""A soak: tasks and faults of all kinds, and the conditions that must hold nevertheless."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cloudpickle
import docker
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsTarget, clients_for
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.covalent_api.task import Task, read_task
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    LambdaContainerError,
    ResultNotStored,
    TaskTimedOut,
)
from covalent_lambda_container.executor import wiring
from covalent_lambda_container.executor.service import Service
from covalent_lambda_container.executor.targets import FunctionTargets
from covalent_lambda_container.local.listeners import listen_here_only
from covalent_lambda_container.local.stack import LocalStack
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.tasks.invoker import Invoker
from tests.electron import assembled
from tests.fakes.examples import value_of
from tests.soak.proxies import Proxies
from tests.soak.proxy import LAMBDA_FAULTS, S3_FAULTS
from tests.soak.work import KINDS, SIZES, Marks, work

TIMEOUT_S = 15
AT_ONCE = 6
_MEGABYTE = 1024 * 1024


@dataclass
class Report:
    """The results of a soak.

    Attributes
    ----------
    outcomes
        How many tasks of each kind ended in which way.
    faults
        Number of faults of each kind.
    violations
        Violated conditions, one line each.
    memory_mb
        Resident memory of this process, at a quarter of the time and at the end.
    """

    seed: int
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    begun: int = 0
    tasks: int = 0

    def text(self) -> str:
        """Return it for people."""
        lines = [f"seed {self.seed}: {self.tasks} tasks, {self.begun} executions"]
        lines += [f"  {kind:10} {how:18} {n}" for (kind, how), n in sorted(self.outcomes.items())]
        lines += [f"  fault: {name:40} {n}" for name, n in sorted(self.faults.items())]
        lines += [f"  resident memory {' → '.join(f'{mb:.0f} MB' for mb in self.memory_mb)}"]
        lines += [f"VIOLATION {line}" for line in self.violations] or ["nothing was violated"]
        return "\n".join(lines)


class Soak:
    """Runs tasks on the local stack through proxies that break.

    Parameters
    ----------
    stack, options
        The stack, and executor options that lead to it.
    owner
        Makes boto3 clients that may do everything.
    seed
        Of what is random.
    """

    def __init__(
        self, stack: LocalStack, options: dict[str, Any], owner: Callable[[str], Any], seed: int
    ) -> None:
        self._stack = stack
        self._options = Options(**options, timeout=TIMEOUT_S, memory_size=1003, poll_freq=1.0)
        self._owner = owner
        self._random = random.Random(seed)
        self._marks = Marks()
        self._port = 0
        self._proxies: Proxies
        self._killed: set[str] = set()
        self.report = Report(seed)

    def run(self, minutes: float) -> Report:
        """Run tasks and faults for so long, and return what was seen."""
        # This module is not in the image.
        cloudpickle.register_pickle_by_value(sys.modules[work.__module__])
        with ExitStack() as cleanup:
            service = cleanup.enter_context(self._service())
            asyncio.run(self._run(service, minutes * 60))
            self._check_bucket()
        self.report.begun = sum(self._marks.begun.values())
        twice = [name for name, count in self._marks.begun.items() if count > 1]
        self.report.violations += [f"task {name} ran more than once" for name in twice]
        first, last = self.report.memory_mb[0], self.report.memory_mb[-1]
        if last > first + 60:
            self.report.violations.append(f"memory grew from {first:.0f} to {last:.0f} MB")
        return self.report

    @contextlib.contextmanager
    def _service(self) -> Iterator[Service]:
        """Have a service that reaches Lambda and S3 through proxies, and all else directly."""
        stack = self._stack
        direct = AwsTarget(
            credentials_file=str(stack.credentials_file),
            profile=stack.profile,
            region=stack.region,
            endpoint_url=stack.endpoint_url,
        )
        with ExitStack() as cleanup:
            client = cleanup.enter_context(contextlib.closing(docker.from_env()))
            marks, _ = self._listeners(client)
            self._port = marks[0].getsockname()[1]
            for listener in marks:
                cleanup.callback(listener.close)
                threading.Thread(target=self._marks.listen, args=(listener,), daemon=True).start()
            (for_lambda, _), (for_s3, address) = self._listeners(client), self._listeners(client)
            lambda_port, s3_port = (one[0].getsockname()[1] for one in (for_lambda, for_s3))
            self._proxies = cleanup.enter_context(
                Proxies(stack.endpoint_url, for_lambda, for_s3, self._note)
            )
            os.environ["NO_PROXY"] = os.environ["no_proxy"] = f"localhost,127.0.0.1,{address}"
            invocations = LambdaInvocations(
                clients_for(replace(direct, endpoint_url=f"http://localhost:{lambda_port}"))
            )
            # Not by the name localhost: functions go through the proxy, too.
            faulty_s3 = replace(direct, endpoint_url=f"http://{address}:{s3_port}")
            bucket = S3Bucket(clients_for(faulty_s3), stack.bucket)
            targets = FunctionTargets(
                self._options,
                provisioner=wiring.service_for(self._options).provisioner,
                functions=LambdaFunctions(clients_for(direct)),
                invocations=invocations,
                bucket=bucket,
                identity=str,
                prepared=set(),
            )
            yield Service(
                self._options,
                targets=targets,
                invoker=Invoker(invocations, bucket),
                renew_credentials=clients_for(direct).renew_credentials,
                with_memory=lambda mb: wiring.service_for(
                    self._options.model_copy(update={"memory_size": mb})
                ),
            )

    def _listeners(self, client: Any) -> tuple[list[socket.socket], str]:
        """Listen where containers can reach; return the sockets, and Docker's bridge's address."""
        sockets = listen_here_only(client)
        for listener in sockets:
            listener.listen(200)
        addresses = [listener.getsockname()[0] for listener in sockets]
        bridge = next((one for one in addresses if not one.startswith("127.")), addresses[0])
        return sockets, bridge

    def _note(self, fault: str) -> None:
        self.report.faults[fault] += 1

    async def _run(self, service: Service, seconds: float) -> None:
        task = self._task("first", "instant", 0.0)
        await service.run(task, "soak", 0, cancellation=Cancellation())
        ends = time.monotonic() + seconds
        breaking = asyncio.ensure_future(self._break(ends))
        watching = asyncio.ensure_future(self._watch_memory(seconds))
        await asyncio.gather(*(self._work(service, lane, ends) for lane in range(AT_ONCE)))
        await breaking
        await watching

    async def _watch_memory(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 4)
        self.report.memory_mb.append(_resident_mb())
        await asyncio.sleep(seconds * 3 / 4)
        self.report.memory_mb.append(_resident_mb())

    def _task(self, name: str, kind: str, seconds: float) -> Task:
        values = (name, self._port, kind, seconds, SIZES.get(kind, 10))
        task = read_task(assembled(work), [TransportableObject(value) for value in values], {})
        assert isinstance(task, Task)
        return task

    async def _work(self, service: Service, lane: int, ends: float) -> None:
        number = 0
        while time.monotonic() < ends:
            number += 1
            await self._one(service, f"{lane}-{number}", lane * 100_000 + number)

    async def _one(self, service: Service, name: str, node_id: int) -> None:
        kind = self._random.choice(KINDS)
        seconds = {"short": self._random.uniform(0.1, 0.9), "long": self._random.uniform(1, 8)}
        lasts = seconds.get(kind, 60.0 if kind in ("timed out", "cancelled") else 0.0)
        cancellation = Cancellation()
        if kind == "cancelled":
            timer = threading.Timer(self._random.uniform(0.1, 2), cancellation.request)
            timer.start()
        self.report.tasks += 1
        try:
            outcome = await service.run(
                self._task(name, kind, lasts), "soak", node_id, cancellation=cancellation
            )
        except Cancelled:
            how = "cancelled"
        except LambdaContainerError as exc:
            how = type(exc).__name__
            self._check_error(name, kind, exc)
        except Exception as exc:
            how = f"raw {type(exc).__name__}"
            self.report.violations.append(f"task {name} ({kind}): raw {exc!r}")
        else:
            how = "completed" if outcome.completed else "failed"
            self._check_outcome(name, kind, outcome)
        self.report.outcomes[kind, how] += 1

    def _check_outcome(self, name: str, kind: str, outcome: Any) -> None:
        if kind == "raising":
            if outcome.completed or f"raised by {name}" not in outcome.error["message"]:
                self.report.violations.append(f"task {name} ({kind}): wrong error {outcome.error}")
            return
        expected = name.encode() + bytes(SIZES.get(kind, 10))
        if not outcome.completed or value_of(outcome.pickled) != expected:
            self.report.violations.append(f"task {name} ({kind}): wrong result {outcome.error}")
        elif kind == "printing" and f"line 1999 of {name}" not in outcome.stdout:
            self.report.violations.append(f"task {name} ({kind}): its output is not whole")

    def _check_error(self, name: str, kind: str, exc: LambdaContainerError) -> None:
        if not str(exc).strip():
            self.report.violations.append(f"task {name} ({kind}): an error without words")
        if kind == "exiting" and isinstance(exc, FunctionCrashed):
            return
        if kind in ("timed out", "cancelled") and isinstance(exc, TaskTimedOut):
            return
        # A container that was killed takes what ran in it along.
        gone = self._marks.containers.get(name) in self._killed or not self._marks.begun[name]
        if gone and isinstance(exc, InvocationError):
            return
        if self._marks.ended[name] or isinstance(exc, ResultNotStored):
            self.report.violations.append(f"task {name} ({kind}): its answer was lost: {exc}")
        else:
            self.report.violations.append(f"task {name} ({kind}): {type(exc).__name__}: {exc}")

    async def _break(self, ends: float) -> None:
        chances: list[Callable[[], None]] = [
            *[self._break_lambda] * 5,
            *[self._break_s3] * 3,
            self._kill_container,
            self._delete_function,
            self._delete_image,
        ]
        # The last seconds pass in peace, so that what is asked for again can be answered.
        while time.monotonic() < ends - 10:
            await asyncio.sleep(self._random.uniform(1, 5))
            chance = self._random.choice(chances)
            await asyncio.to_thread(chance)

    def _break_lambda(self) -> None:
        count = self._random.randint(1, 6)
        self._proxies.break_lambda([self._random.choice(LAMBDA_FAULTS) for _ in range(count)])

    def _break_s3(self) -> None:
        self._proxies.break_s3(self._random.choice(S3_FAULTS), self._random.uniform(0.5, 3))

    def _containers(self) -> list[Any]:
        port = self._stack.endpoint_url.rpartition(":")[2]
        with contextlib.closing(docker.from_env()) as client:
            found = client.containers.list(filters={"label": "ministack.instance"})
            return [one for one in found if one.labels["ministack.instance"].endswith(f":{port}")]

    def _kill_container(self) -> None:
        containers = self._containers()
        if containers:
            container = self._random.choice(containers)
            self._killed.add(container.id[:12])
            with contextlib.suppress(docker.errors.APIError):
                container.kill()
            self._note("container killed")

    def _delete_function(self) -> None:
        functions = self._owner("lambda")
        names = [one["FunctionName"] for one in functions.list_functions()["Functions"]]
        self._killed.update(container.id[:12] for container in self._containers())
        for name in names:
            # The function of a broken start may be gone already.
            with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
                functions.delete_function(FunctionName=name)
        self._note("function deleted")

    def _delete_image(self) -> None:
        registry = self._owner("ecr")
        images = registry.list_images(repositoryName=self._stack.repository)["imageIds"]
        if images:
            registry.batch_delete_image(repositoryName=self._stack.repository, imageIds=images)
        self._note("image deleted")
        self._delete_function()

    def _check_bucket(self) -> None:
        listed = self._owner("s3").list_objects_v2(
            Bucket=self._stack.bucket, Prefix="covalent-lambda/soak/"
        )
        left = [found["Key"] for found in listed.get("Contents", ())]
        # What a function that went on after its connection had broken stores late is a lifecycle
        # rule's; so is what could not be removed while S3 was out of order.
        self.report.outcomes["objects", "left in S3"] = len(left)


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _MEGABYTE
