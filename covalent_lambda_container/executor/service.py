"""The parts put together: what one process needs to run tasks with given options.

Everything here is shared by all executor instances with equal options, since Covalent makes a new
instance for every task.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from covalent_lambda_container import progress
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.concurrency.event_loop import in_thread
from covalent_lambda_container.concurrency.shared_work import SharedWork
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.covalent_api.transport import REQUIRES, USAGE
from covalent_lambda_container.errors import (
    FunctionCrashed,
    ImageBuildError,
    RegistryError,
    TaskOutOfMemory,
    TaskTimedOut,
)
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.node_progress import Activity, WaitingNode
from covalent_lambda_container.executor.prewarm import prewarm
from covalent_lambda_container.executor.provenance import verified
from covalent_lambda_container.executor.values import blamed
from covalent_lambda_container.functions.description import description
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import (
    FunctionSpec,
    ImageReference,
    ImageSpec,
)
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import LocalPackage, read_local_packages
from covalent_lambda_container.ports.functions import (
    FunctionMissing,
    Functions,
    ImageMissing,
    Invocations,
)
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.progress import ReportProgress
from covalent_lambda_container.tasks.call import Call
from covalent_lambda_container.tasks.invoker import Invoker
from covalent_lambda_container.tasks.outcome import Outcome
from covalent_lambda_container.tasks.usage import Usage

log = logging.getLogger(__name__)

Needs = tuple[Hashable, tuple[LocalPackage, ...], int]
"""What a function is prepared for: a task's needs, the user's own code, the images rebuilt."""


@dataclass(frozen=True, kw_only=True)
class FunctionTarget:
    """Where tasks with the same needs run: an image that is in the registry, and its function."""

    image: ImageSpec
    function: FunctionSpec


class Service:
    """Runs tasks with one set of options.

    Parameters
    ----------
    options
        The executor's options.
    provisioner
        Finds and creates images and functions; shared by all services of one account.
    functions, invocations, bucket
        The outside systems.
    invoker
        Runs tasks on functions; shared by all services of one account and bucket.
    prepared
        Functions that this process has prepared for their first task, each with the execution
        environments it has prewarmed there; shared by all services of one account.
    renew_credentials
        Renews the credentials that requests are signed with when they are about to expire.

    Attributes
    ----------
    provisioner, functions, invocations
        The parameters.
    """

    def __init__(
        self,
        options: Options,
        *,
        provisioner: Provisioner,
        functions: Functions,
        invocations: Invocations,
        bucket: BlobStore,
        invoker: Invoker,
        prepared: set[tuple[str, int]],
        renew_credentials: Callable[[], Awaitable[None]],
    ) -> None:
        self._options = options
        self.provisioner = provisioner
        self.functions = functions
        self.invocations = invocations
        self._bucket = bucket
        self._invoker = invoker
        self._prepared = prepared
        self._renew_credentials = renew_credentials
        self._activities: dict[Needs, Activity] = {}
        self._targets: SharedWork[Needs, FunctionTarget] = SharedWork()
        self._packages: tuple[LocalPackage, ...] = ()

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
        """Run a task, making its image and function first if they do not exist.

        Parameters
        ----------
        task
            What to run.
        dispatch_id, node_id
            Covalent's names for it.
        cancellation
            Asked before each step.
        retries
            How often a task that crashed, timed out or ran out of memory is run again; one that
            raised never is.
        waiting
            Where what is being done for it is shown.

        Raises
        ------
        Cancelled
            The task was called off.
        LambdaContainerError
            When it could not be run.
        """
        waiting = waiting or WaitingNode()
        while True:
            try:
                return await self._run_once(task, dispatch_id, node_id, cancellation, waiting)
            except (FunctionCrashed, TaskOutOfMemory, TaskTimedOut) as exc:  # noqa: PERF203
                if retries <= 0:
                    raise
                retries -= 1
                log.warning("Task %s:%s is run again: %s", dispatch_id, node_id, exc)

    async def _run_once(
        self,
        task: Task,
        dispatch_id: str,
        node_id: int,
        cancellation: Cancellation,
        waiting: WaitingNode,
    ) -> Outcome:
        packages = await self._local_packages()
        self._drop_outdated(packages)
        for attempt in ("first", "last"):
            waiting.wait_for(self._activities.setdefault(self._needs(task, packages), Activity()))
            target = await self._target(task, packages, cancellation)
            await self._renew_credentials()
            waiting.wait_for(running := Activity())
            running.report("running on Lambda")
            try:
                call = self._call(task, target, dispatch_id, node_id)
                with progress.reported_to(running.report):
                    outcome = await self._invoker.run(call, cancellation)
                return await self._accounted(outcome, target, task, f"{dispatch_id}:{node_id}")
            except FunctionMissing:
                # Somebody deleted it since this process last looked; nothing ran.
                self._forget(target.image, target.function)
                self._targets.forget(self._needs(task, packages))
                if attempt == "last":
                    raise
        raise AssertionError("unreachable")

    def _forget(self, image: ImageSpec, function: FunctionSpec) -> None:
        self.provisioner.forget(image, function)
        self._prepared.discard((function.name, self._options.prewarm))

    def _drop_outdated(self, packages: tuple[LocalPackage, ...]) -> None:
        """Forget what earlier states of the user's own code needed; they are megabytes each."""
        if packages == self._packages:
            return
        for target in self._targets.forget_done(lambda needs: needs[1] == self._packages):
            self.provisioner.forget(target.image, target.function)
        for needs in [needs for needs in self._activities if needs[1] == self._packages]:
            del self._activities[needs]
        self._packages = packages

    async def _local_packages(self) -> tuple[LocalPackage, ...]:
        """Read the user's own code as it is now."""
        paths = self._options.local_packages
        return await in_thread(read_local_packages, paths) if paths else ()

    async def _target(
        self, task: Task, packages: tuple[LocalPackage, ...], cancellation: Cancellation
    ) -> FunctionTarget:
        prepare = partial(self._prepare, task, packages)
        return await self._targets.get(self._needs(task, packages), prepare, cancellation)

    def _needs(self, task: Task, packages: tuple[LocalPackage, ...]) -> Needs:
        return task.needs, packages, self.provisioner.rebuilds

    async def _prepare(
        self, task: Task, packages: tuple[LocalPackage, ...], check: Callable[[], None]
    ) -> FunctionTarget:
        """Have an image and a function for a task; all that blocks, beside the event loop."""
        report = self._activities.setdefault(self._needs(task, packages), Activity()).report
        report("checking the account")
        # Values may bring a thousand requirements along.
        spec = await in_thread(image_spec, self._options, task, packages, self.contents_of)
        await in_thread(self._check_account)
        check()
        words = description([task.name or "an electron"], spec.requirements)
        ensure = partial(self.provisioner.ensure_function, description=words)
        for attempt in ("first", "last"):
            report("looking for the image")
            try:
                image = await in_thread(self._ensure_image, spec, report)
            except ImageBuildError as exc:
                raise blamed(exc, spec, task.origins) from exc
            check()
            function_spec = self.function_spec(image)
            try:
                report("looking for the function")
                await in_thread(ensure, function_spec, report)
                report("preparing the function")
                await self._make_ready(function_spec.name)
                return FunctionTarget(image=spec, function=function_spec)
            except (FunctionMissing, ImageMissing) as exc:
                # Somebody removed what this process remembers.
                log.warning("%s", exc.message)
                self._forget(spec, function_spec)
                if attempt == "last":
                    raise
            check()
        raise AssertionError("unreachable")

    def _ensure_image(self, spec: ImageSpec, report: ReportProgress) -> ImageReference:
        return self.provisioner.ensure_image(spec, report, rebuild=self._options.force_rebuild)

    async def _make_ready(self, function_name: str) -> None:
        """Do what a function needs before its first task in this process."""
        options = self._options
        if (function_name, options.prewarm) in self._prepared:
            return
        if options.reserved_concurrency:
            # Asked for again in every process: one that ended between the making of the function
            # and the reservation leaves no trace of it.
            await in_thread(self.functions.reserve, function_name, options.reserved_concurrency)
        if options.prewarm:
            await self.prewarm(function_name, options.prewarm)
        self._prepared.add((function_name, options.prewarm))

    def image_spec(self, task: Task) -> ImageSpec:
        """Return what the image of a task must contain, as this module's `image_spec` says."""
        return image_spec(self._options, task, contents_of=self.contents_of)

    def contents_of(self, tag: str) -> ImageContents | None:
        """Return what is in the image of a tag; None if that is not known."""
        try:
            return self.provisioner.contents(tag)
        except RegistryError as exc:
            log.info("What is in image %s is not known: %s", tag, exc.message)
            return None

    async def prewarm(self, function_name: str, count: int) -> int:
        """Start execution environments of a function, as this module's `prewarm` says."""
        return await prewarm(
            self.invocations, function_name, count, timeout_s=self._options.timeout
        )

    def _check_account(self) -> None:
        """Check what every task needs before anything is built; once."""
        _ = self._role_arn, self._bucket_checked

    @functools.cached_property
    def _role_arn(self) -> str:
        return self.functions.role_arn(self._options.lambda_role_name)

    @functools.cached_property
    def _bucket_checked(self) -> bool:
        self._bucket.check()
        return True

    def function_spec(self, image: ImageReference) -> FunctionSpec:
        """Return what the function of an image is.

        Raises
        ------
        ConfigurationError
            There is no such execution role.
        """
        return FunctionSpec(image=image, role_arn=self._role_arn, **self._options.function_fields())

    async def _accounted(
        self, outcome: Outcome, target: FunctionTarget, task: Task, task_id: str
    ) -> Outcome:
        """Return the outcome with what the dispatcher knows of it: origin, and what was used."""
        installed = partial(self.provisioner.installed, target.image)
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
            payload=self._payload(task, target, dispatch_id, node_id),
            payload_bytes=task.payload_bytes,
            dispatch_id=dispatch_id,
            node_id=node_id,
            timeout_s=options.timeout,
            memory_mb=options.memory_size,
            poll_interval_s=options.poll_freq,
            cleanup=options.cleanup,
        )


def _with_usage(outcome: Outcome, target: FunctionTarget, task: str) -> Outcome:
    """Return the outcome with what the task used, in its header as well.

    The record names its task, since Covalent and post-processing hand headers on.
    """
    header = dict(outcome.header)
    used = None
    if outcome.usage:
        used = Usage.measured(outcome.usage, target.function, outcome.log_tail)
        header[USAGE] = used.record | {"task": task}
    else:
        # What the function wrote there is not believed.
        header.pop(USAGE, None)
    return replace(outcome, header=header, used=used)
