"""Runs tasks with one set of options.

Everything here is shared by all executor instances with equal options, since Covalent makes a new
instance for every task.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from covalent_lambda_container import progress
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.concurrency.event_loop import in_thread
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.covalent_api.transport import REQUIRES, USAGE
from covalent_lambda_container.errors import (
    FunctionCrashed,
    InvocationError,
    TaskOutOfMemory,
    TaskTimedOut,
)
from covalent_lambda_container.executor.memory_growth import MemoryGrowth, ran_out
from covalent_lambda_container.executor.node_progress import Activity, WaitingNode
from covalent_lambda_container.executor.provenance import verified
from covalent_lambda_container.executor.targets import ATTEMPTS, FunctionTarget, FunctionTargets
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.ports.functions import FunctionMissing
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from covalent_lambda_container.tasks.usage import Usage

log = logging.getLogger(__name__)


class Service:
    """Runs tasks with one set of options.

    Parameters
    ----------
    options
        The executor's options.
    targets
        Prepares the images and functions that tasks run on.
    invoker
        Runs tasks on functions; shared by all services of one account and bucket.
    renew_credentials
        Renews the credentials that sign requests when they are about to expire.
    with_memory
        Returns the service with the same options but another memory size in MB.

    Attributes
    ----------
    targets
        The parameter.
    """

    def __init__(
        self,
        options: Options,
        *,
        targets: FunctionTargets,
        invoker: Invoker,
        renew_credentials: Callable[[], Awaitable[None]],
        with_memory: Callable[[int], Service],
    ) -> None:
        self._options = options
        self.targets = targets
        self._invoker = invoker
        self._renew_credentials = renew_credentials
        self._with_memory = with_memory
        self._growth = MemoryGrowth(options.memory_size, options.max_memory_size)

    @property
    def provisioner(self) -> Provisioner:
        """Finds and creates images and functions."""
        return self.targets.provisioner

    def function_spec(self, image: ImageReference) -> FunctionSpec:
        """Return the spec of an image's function; see `FunctionTargets.function_spec`."""
        return self.targets.function_spec(image)

    async def run(
        self,
        task: Task,
        dispatch_id: str,
        node_id: int,
        *,
        cancellation: Cancellation,
        retries: int = 0,
        waiting: WaitingNode | None = None,
    ) -> Outcome:
        """Run a task; its image and function are created first if they do not exist.

        Parameters
        ----------
        task
            The task.
        dispatch_id, node_id
            Covalent's identifiers of the task.
        cancellation
            Checked before each step.
        retries
            How often a task that crashed, timed out or ran out of memory is rerun; one that
            raised an exception never is. Runs with more memory, up to the option
            ``max_memory_size``, do not count.
        waiting
            Node in which its progress and output are shown; None to show nothing.

        Raises
        ------
        Cancelled
            The task was cancelled.
        LambdaContainerError
            The task could not be run.
        """
        name = f"{dispatch_id}:{node_id}"
        electron = await self._growth.electron(task)
        memory_mb = self._growth.start_mb(electron)
        once = partial(self._run_once, task, dispatch_id, node_id, cancellation, waiting)
        while True:
            try:
                outcome = await once(memory_mb)
                more_mb = self._growth.more_mb(electron, memory_mb) if ran_out(outcome) else None
                if more_mb is None:
                    return outcome
            except (FunctionCrashed, TaskOutOfMemory, TaskTimedOut) as exc:
                more_mb = None
                if isinstance(exc, TaskOutOfMemory):
                    more_mb = self._growth.more_mb(electron, memory_mb)
                if more_mb is None and retries <= 0:
                    raise
                retries -= more_mb is None
                log.warning("Rerunning task %s: %s", name, exc)
            if more_mb is not None:
                log.warning("Task %s ran out of %d MB and gets %d MB.", name, memory_mb, more_mb)
                memory_mb = more_mb

    async def _run_once(
        self,
        task: Task,
        dispatch_id: str,
        node_id: int,
        cancellation: Cancellation,
        looked_at: WaitingNode | None,
        memory_mb: int,
    ) -> Outcome:
        if memory_mb != self._options.memory_size:
            larger = self._with_memory(memory_mb)
            outcome = await larger._run_once(
                task, dispatch_id, node_id, cancellation, looked_at, memory_mb
            )
            return _with_raised_memory(outcome, self._options.memory_size)
        waiting = looked_at or WaitingNode()
        packages = await self.targets.local_packages()
        for attempts_left in reversed(range(ATTEMPTS)):
            waiting.wait_for(self.targets.activity(task, packages))
            target = await self.targets.get(task, packages, cancellation)
            await self._renew_credentials()
            waiting.wait_for(running := Activity())
            running.report("running on Lambda")
            try:
                call = self._call(task, target, dispatch_id, node_id)
                with progress.reported_to(running.report):
                    show = running.show if looked_at and self._options.live_output else None
                    outcome = await self._invoker.run(call, cancellation, show)
                return await self._accounted(outcome, target, task, f"{dispatch_id}:{node_id}")
            except InvocationError as exc:
                used = _usage(exc, target)
                if used and looked_at and self._options.usage_report:
                    # Covalent is given an error, and no output.
                    running.show_below(used.line)
                raise
            except FunctionMissing:
                # The function was deleted since this process last saw it; nothing ran.
                self.targets.forget(target, task, packages)
                if not attempts_left:
                    raise
        raise AssertionError("unreachable")

    async def _accounted(
        self, outcome: Outcome, target: FunctionTarget, task: Task, task_id: str
    ) -> Outcome:
        """Return the outcome with what the dispatcher adds: origin and usage."""
        installed = partial(self.targets.provisioner.installed, target.image)
        node = f"{task.name or 'a task'} (node {task_id.rpartition(':')[2]})"
        check = partial(verified, outcome.header, installed, target.image.tag, node)
        header = await in_thread(check) if outcome.header.get(REQUIRES) else check()
        return _with_usage(replace(outcome, header=header), target, task_id)

    def _payload(
        self, task: Task, target: FunctionTarget, dispatch_id: str, node_id: int
    ) -> dict[str, Any]:
        payload = dict(task.payload)
        if task.commands and self._options.bash_deps == "runtime":
            payload["commands"] = task.commands
        if task.covalent_version:
            image = target.image.tag
            payload["context"] = {"dispatch_id": dispatch_id, "node_id": node_id, "image": image}
        return payload

    def _call(self, task: Task, target: FunctionTarget, dispatch_id: str, node_id: int) -> Call:
        options = self._options
        return Call(
            function_name=target.function.name,
            image_tag=target.image.tag,
            payload=self._payload(task, target, dispatch_id, node_id),
            payload_bytes=task.payload_bytes,
            dispatch_id=dispatch_id,
            node_id=node_id,
            timeout_s=options.timeout,
            memory_mb=options.memory_size,
            poll_interval_s=options.poll_freq,
            cleanup=options.cleanup,
            prewarmed=options.prewarm,
        )


def _with_raised_memory(outcome: Outcome, memory_mb: int) -> Outcome:
    """Return the outcome of a task whose memory was raised above its option, `memory_mb`."""
    if outcome.used is None:
        return outcome
    used = replace(outcome.used, raised_from_mb=memory_mb)
    record = outcome.header[USAGE] | {"raised_from_mb": memory_mb}
    return replace(outcome, used=used, header=outcome.header | {USAGE: record})


def _with_usage(outcome: Outcome, target: FunctionTarget, task: str) -> Outcome:
    """Return the outcome with the task's usage, in the result's header as well.

    The record names its task, since Covalent and post-processing pass headers on.
    """
    header = dict(outcome.header)
    used = _usage(outcome, target)
    if used:
        header[USAGE] = used.record | {"task": task}
    else:
        # The function's own entry there is not trusted.
        header.pop(USAGE, None)
    return replace(outcome, header=header, used=used)


def _usage(ended: Outcome | InvocationError, target: FunctionTarget) -> Usage | None:
    if not ended.usage:
        return None
    return Usage.measured(ended.usage, target.function, ended.log_tail, image_tag=target.image.tag)
