"""Images and functions to run tasks on, prepared once for all tasks with the same needs."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Final

from covalent_lambda_container.concurrency.cancellable import bound
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.concurrency.event_loop import in_thread
from covalent_lambda_container.concurrency.shared_work import SharedWork
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.errors import ImageBuildError, RegistryError
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.node_progress import Activity
from covalent_lambda_container.executor.owner import function_owner
from covalent_lambda_container.executor.prewarm import prewarm
from covalent_lambda_container.executor.values import with_value_sources
from covalent_lambda_container.functions.description import description
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference, ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import LocalPackage, read_local_packages
from covalent_lambda_container.packages.requirements import without_hashes
from covalent_lambda_container.ports.functions import (
    FunctionMissing,
    Functions,
    ImageMissing,
    Invocations,
)
from covalent_lambda_container.ports.stores import BlobStore
from covalent_lambda_container.progress import ReportProgress

log = logging.getLogger(__name__)

ATTEMPTS: Final = 5
"""How often images and functions are looked for, or created, that were deleted meanwhile: there may
be somebody who tidies up, or several dispatchers that find out one after the other."""

Needs = tuple[Hashable, tuple[LocalPackage, ...], int]
"""Key of a prepared function: a task's needs, the user's own code, the images rebuilt."""


@dataclass(frozen=True, kw_only=True)
class FunctionTarget:
    """The target of tasks with the same needs: an image in the registry, and its function."""

    image: ImageSpec
    function: FunctionSpec


class FunctionTargets:
    """Prepares images and functions for the tasks of an executor, and remembers them.

    Parameters
    ----------
    options
        The executor's options.
    provisioner
        Finds and creates images and functions; shared by all executors of one account.
    functions, invocations, bucket
        The outside systems.
    identity
        Returns the ARN of the dispatcher's AWS identity, empty if AWS does not report it.
    prepared
        Functions that this process has prepared for their first task, each with the number of
        execution environments it has prewarmed; shared by all executors of one account.

    Attributes
    ----------
    provisioner
        The parameter.
    """

    def __init__(
        self,
        options: Options,
        *,
        provisioner: Provisioner,
        functions: Functions,
        invocations: Invocations,
        bucket: BlobStore,
        identity: Callable[[], str],
        prepared: set[tuple[str, int]],
    ) -> None:
        self._options = options
        self.provisioner = provisioner
        self._functions = functions
        self._invocations = invocations
        self._bucket = bucket
        self._identity = identity
        self._prepared = prepared
        self._activities: dict[Needs, Activity] = {}
        self._targets: SharedWork[Needs, FunctionTarget] = SharedWork()
        self._packages: tuple[LocalPackage, ...] = ()

    async def local_packages(self) -> tuple[LocalPackage, ...]:
        """Read the user's own code as it is now."""
        paths = self._options.local_packages
        packages = await in_thread(read_local_packages, paths) if paths else ()
        self._drop_outdated(packages)
        return packages

    def activity(self, task: Task, packages: tuple[LocalPackage, ...]) -> Activity:
        """Return the progress of the preparation for tasks with the same needs as this one."""
        return self._activities.setdefault(self._needs(task, packages), Activity())

    async def get(
        self, task: Task, packages: tuple[LocalPackage, ...], cancellation: Cancellation
    ) -> FunctionTarget:
        """Return where a task runs; prepare it for the first task with these needs.

        Parameters
        ----------
        task
            The task.
        packages
            The user's own code, as `local_packages` returns it.
        cancellation
            Stops the work at once, unless another task wants it.

        Raises
        ------
        Cancelled
            The task was cancelled.
        LambdaContainerError
            The image or the function cannot be prepared.
        """
        prepare = partial(self._prepare, task, packages)
        return await self._targets.get(self._needs(task, packages), prepare, cancellation)

    def forget(
        self, target: FunctionTarget, task: Task, packages: tuple[LocalPackage, ...]
    ) -> None:
        """Forget a target whose function has turned out not to exist."""
        if self._targets.forget(self._needs(task, packages), target):
            self._forget(target.image, target.function)

    def function_spec(self, image: ImageReference) -> FunctionSpec:
        """Return the spec of an image's function.

        Raises
        ------
        ConfigurationError
            The execution role does not exist, or the identity that owns the function is not known.
        """
        return FunctionSpec(
            image=image,
            role_arn=self._role_arn,
            owner=self._owner,
            **self._options.function_fields(),
        )

    def contents_of(self, tag: str) -> ImageContents | None:
        """Return the contents of the image with a tag; None if they are not known."""
        try:
            return self.provisioner.contents(tag)
        except RegistryError as exc:
            log.info("The contents of image %s are not known: %s", tag, exc.message)
            return None

    def _needs(self, task: Task, packages: tuple[LocalPackage, ...]) -> Needs:
        return task.needs, packages, self.provisioner.rebuilds

    def _drop_outdated(self, packages: tuple[LocalPackage, ...]) -> None:
        """Forget targets of earlier versions of the user's own code, which is megabytes each."""
        if packages == self._packages:
            return
        for target in self._targets.forget_done(lambda needs: needs[1] == self._packages):
            self.provisioner.forget(target.image, target.function)
        for needs in [needs for needs in self._activities if needs[1] == self._packages]:
            del self._activities[needs]
        self._packages = packages

    async def _prepare(
        self, task: Task, packages: tuple[LocalPackage, ...], cancellation: Cancellation
    ) -> FunctionTarget:
        """Prepare an image and a function for a task; blocking work runs in other threads."""
        check = cancellation.check
        report = self.activity(task, packages).report
        report("checking the account")
        # Values may have a thousand requirements.
        spec = await in_thread(image_spec, self._options, task, packages, self.contents_of)
        await in_thread(self._check_account)
        check()
        words = description([task.name or "an electron"], map(without_hashes, spec.requirements))
        ensure = partial(self.provisioner.ensure_function, description=words)
        for attempts_left in reversed(range(ATTEMPTS)):
            report("looking for the image")
            try:
                ensure_image = bound(self._ensure_image, cancellation)
                image = await in_thread(ensure_image, spec, report)
            except ImageBuildError as exc:
                raise with_value_sources(exc, spec, task.origins) from exc
            check()
            function_spec = self.function_spec(image)
            try:
                report("looking for the function")
                await in_thread(bound(ensure, cancellation), function_spec, report)
                report("preparing the function")
                await self._make_ready(function_spec.name)
                return FunctionTarget(image=spec, function=function_spec)
            except (FunctionMissing, ImageMissing) as exc:
                # The remembered image was removed by somebody.
                log.warning("%s", exc.message)
                self._forget(spec, function_spec)
                if not attempts_left:
                    raise
            check()
        raise AssertionError("unreachable")

    def _ensure_image(self, spec: ImageSpec, report: ReportProgress) -> ImageReference:
        return self.provisioner.ensure_image(spec, report, rebuild=self._options.force_rebuild)

    async def _make_ready(self, function_name: str) -> None:
        """Prepare a function for its first task in this process."""
        options = self._options
        if (function_name, options.prewarm) in self._prepared:
            return
        if options.reserved_concurrency:
            # Once in every process: another one may have ended between creating the function and
            # reserving concurrency.
            await in_thread(self._functions.reserve, function_name, options.reserved_concurrency)
        if options.prewarm:
            await prewarm(
                self._invocations, function_name, options.prewarm, timeout_s=options.timeout
            )
        self._prepared.add((function_name, options.prewarm))

    def _check_account(self) -> None:
        """Check once, before anything is built, what every task needs."""
        _ = self._role_arn, self._bucket_checked, self._owner

    @functools.cached_property
    def _role_arn(self) -> str:
        return self._functions.role_arn(self._options.lambda_role_name)

    @functools.cached_property
    def _owner(self) -> str:
        return function_owner(self._identity()) if self._options.isolate == "function" else ""

    @functools.cached_property
    def _bucket_checked(self) -> bool:
        self._bucket.check()
        return True

    def _forget(self, image: ImageSpec, function: FunctionSpec) -> None:
        self.provisioner.forget(image, function)
        self._prepared.discard((function.name, self._options.prewarm))
