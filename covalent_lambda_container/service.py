"""The parts put together: what one process needs to run tasks with given options.

Everything here is shared by all executor instances with equal options, since Covalent makes a new
instance for every task.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from covalent_lambda_container.aws import AwsTarget, clients_for
from covalent_lambda_container.cancellation import Cancellation
from covalent_lambda_container.cloudwatch_logs import FunctionLogs
from covalent_lambda_container.covalent_task import MADE_IN, Task
from covalent_lambda_container.docker_engine import DockerEngine
from covalent_lambda_container.dockerfile import recipe_digest
from covalent_lambda_container.ecr import EcrRegistry
from covalent_lambda_container.errors import (
    ConfigurationError,
    FunctionCrashed,
    TaskOutOfMemory,
    TaskTimedOut,
)
from covalent_lambda_container.event_loop import in_thread
from covalent_lambda_container.image_build import TaskImageBuilder
from covalent_lambda_container.install_settings import InstallSettings
from covalent_lambda_container.invocation import Call, Invoker, Outcome
from covalent_lambda_container.lambda_functions import LambdaFunctions
from covalent_lambda_container.lambda_invocations import LambdaInvocations
from covalent_lambda_container.local_packages import LocalPackage, read_local_packages
from covalent_lambda_container.machine_settings import machine_settings
from covalent_lambda_container.options import (
    AWS_ROOT_IMAGE,
    CONCURRENCY_QUOTA,
    LAMBDA_IMAGE_MB,
    Options,
)
from covalent_lambda_container.package_install import PackageInstaller
from covalent_lambda_container.ports import (
    Engine,
    FunctionMissing,
    Functions,
    ImageStore,
    Invocations,
    Logs,
    Registry,
)
from covalent_lambda_container.provision import Provisioner
from covalent_lambda_container.requirements import with_required
from covalent_lambda_container.runtime import wire
from covalent_lambda_container.s3 import S3Bucket
from covalent_lambda_container.shared_work import SharedWork
from covalent_lambda_container.spec import (
    FunctionSpec,
    ImageReference,
    ImageSpec,
    sorted_pairs,
)
from covalent_lambda_container.uv_installer import UvInstaller

log = logging.getLogger(__name__)

_PING_HOLD_S: Final = 0.2
"""How long a ping keeps its execution environment busy, so that another ping gets another one."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where tasks with the same needs run: an image that is in the registry, and its function."""

    image: ImageSpec
    function: FunctionSpec

    @functools.cached_property
    def made_in(self) -> str:
        """What values made there say of it: an edit of the user's code changes no package."""
        return replace(self.image, local_packages=()).tag


class Service:
    """Runs tasks with one set of options.

    Parameters
    ----------
    options
        The executor's options.

    Attributes
    ----------
    provisioner
        Finds and makes images and functions; shared by all services of one account.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        target = AwsTarget.of(options)
        self._clients = clients_for(target)
        self._bucket = S3Bucket(self._clients, options.s3_bucket_name)
        self._functions = LambdaFunctions(self._clients)
        self._invocations = _invocations_for(target)
        self.provisioner = _provisioner_for(
            target,
            options.ecr_repository,
            options.cache_dir,
            _settings_reader(
                options.pip_index_url, tuple(options.pip_extra_index_urls), options.ca_bundle
            ),
            options.max_image_mb,
        )
        self._readied = _readied_for(target)
        self._invoker = _invoker_for(target, options.s3_bucket_name)
        self._places: SharedWork[Hashable, Place] = SharedWork()

    async def run(
        self,
        task: Task,
        dispatch_id: str,
        node_id: int,
        *,
        cancellation: Cancellation,
        retries: int = 0,
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

        Raises
        ------
        Cancelled
            The task was called off.
        LambdaContainerError
            When it could not be run.
        """
        while True:
            try:
                return await self._run_once(task, dispatch_id, node_id, cancellation)
            except (FunctionCrashed, TaskOutOfMemory, TaskTimedOut) as exc:  # noqa: PERF203
                if retries <= 0:
                    raise
                retries -= 1
                log.warning("Task %s:%s is run again: %s", dispatch_id, node_id, exc)

    async def _run_once(
        self, task: Task, dispatch_id: str, node_id: int, cancellation: Cancellation
    ) -> Outcome:
        packages = await self._local_packages()
        for attempt in ("first", "last"):
            place = await self._place(task, packages, cancellation)
            await self._clients.renew_credentials()
            try:
                call = self._call(task, place.function.name, dispatch_id, node_id)
                outcome = await self._invoker.run(call, cancellation)
                return replace(outcome, header=outcome.header | {MADE_IN: place.made_in})
            except FunctionMissing:
                # Somebody deleted it since this process last looked; nothing ran.
                self.provisioner.forget(place.image, place.function)
                self._places.forget(self._needs(task, packages))
                self._readied.discard((place.function.name, self._options.prewarm))
                if attempt == "last":
                    raise
        raise AssertionError("unreachable")

    async def _local_packages(self) -> tuple[LocalPackage, ...]:
        """Read the user's own code as it is now."""
        paths = self._options.local_packages
        return await in_thread(read_local_packages, paths) if paths else ()

    async def _place(
        self, task: Task, packages: tuple[LocalPackage, ...], cancellation: Cancellation
    ) -> Place:
        prepare = partial(self._prepare, task, packages)
        return await self._places.get(self._needs(task, packages), prepare, cancellation)

    def _needs(self, task: Task, packages: tuple[LocalPackage, ...]) -> Hashable:
        return task.needs, packages, self.provisioner.rebuilds

    async def _prepare(
        self, task: Task, packages: tuple[LocalPackage, ...], check: Callable[[], None]
    ) -> Place:
        """Have an image and a function for a task; all that blocks, beside the event loop."""
        spec = image_spec(self._options, task, packages)
        await in_thread(self._check_account)
        check()
        image = await in_thread(self._ensure_image, spec)
        check()
        function_spec = self.function_spec(image)
        await in_thread(self.provisioner.ensure_function, function_spec)
        await self._make_ready(function_spec.name)
        return Place(image=spec, function=function_spec)

    def _ensure_image(self, spec: ImageSpec) -> ImageReference:
        return self.provisioner.ensure_image(spec, anew=self._options.force_rebuild)

    async def _make_ready(self, function_name: str) -> None:
        """Do what a function needs before its first task in this process."""
        options = self._options
        if (function_name, options.prewarm) in self._readied:
            return
        if options.reserved_concurrency:
            # Asked for again in every process: one that ended between the making of the function
            # and the reservation leaves no trace of it.
            await in_thread(self._functions.reserve, function_name, options.reserved_concurrency)
        if options.prewarm:
            await self.prewarm(function_name, options.prewarm)
        self._readied.add((function_name, options.prewarm))

    def image_spec(self, task: Task) -> ImageSpec:
        """Return what the image of a task must contain, as this module's `image_spec` says."""
        return image_spec(self._options, task)

    async def prewarm(self, function_name: str, count: int) -> int:
        """Start execution environments of a function, as this module's `prewarm` says."""
        return await prewarm(
            self._invocations, function_name, count, timeout_s=self._options.timeout
        )

    def _check_account(self) -> None:
        """Check what every task needs before anything is built; once."""
        _ = self._role_arn, self._bucket_checked

    @functools.cached_property
    def _role_arn(self) -> str:
        return self._functions.role_arn(self._options.lambda_role_name)

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
        options = self._options
        return FunctionSpec(
            image=image,
            architecture=options.architecture,
            role_arn=self._role_arn,
            memory_mb=options.memory_size,
            timeout_s=options.timeout,
            ephemeral_storage_mb=options.ephemeral_storage,
            environment=sorted_pairs(options.environment),
            tags=sorted_pairs(options.tags),
            subnet_ids=tuple(sorted(set(options.subnet_ids))),
            security_group_ids=tuple(sorted(set(options.security_group_ids))),
            file_system_arn=options.file_system.get("arn", ""),
            mount_path=options.file_system.get("mount_path", ""),
            kms_key_arn=options.kms_key_arn,
            reserved_concurrency=options.reserved_concurrency,
        )

    def _payload(self, task: Task) -> dict[str, Any]:
        if task.commands and self._options.bash_deps == "runtime":
            return task.payload | {"commands": task.commands}
        return task.payload

    def _call(self, task: Task, name: str, dispatch_id: str, node_id: int) -> Call:
        options = self._options
        return Call(
            function_name=name,
            payload=self._payload(task),
            payload_bytes=task.payload_bytes,
            dispatch_id=dispatch_id,
            node_id=node_id,
            timeout_s=options.timeout,
            memory_mb=options.memory_size,
            poll_interval_s=options.poll_freq,
            cleanup=options.cleanup,
        )


def image_spec(
    options: Options, task: Task, packages: tuple[LocalPackage, ...] | None = None
) -> ImageSpec:
    """Return what the image of a task must contain.

    Parameters
    ----------
    packages
        The user's own code; default: read now.
    """
    wanted = options.wanted() | task.requirements
    at_build = options.bash_deps == "build"
    spec = ImageSpec(
        python_version=task.python_version,
        architecture=options.architecture,
        base_image=options.base_image or f"{AWS_ROOT_IMAGE}:{task.python_version}",
        requirements=wanted.packages,
        cloudpickle_version=task.cloudpickle_version,
        covalent_version=task.covalent_version,
        commands=task.commands if at_build else (),
        constraints=wanted.constraints,
        install_options=wanted.options,
        recipe=recipe_digest(),
    )
    # Data that was made with these very packages asks for no others.
    if any(origin.image != spec.tag for origin in task.origins):
        required = {text for origin in task.origins for text in origin.requirements}
        spec = replace(spec, requirements=with_required(spec.requirements, required))
    if packages is None:
        packages = read_local_packages(options.local_packages)
    return replace(spec, local_packages=packages)


async def prewarm(
    invocations: Invocations, function_name: str, count: int, *, timeout_s: int
) -> int:
    """Start execution environments of a function by as many pings at once.

    Each ping stays in its environment for a moment, so that none is left for the next one. A ping
    that fails is logged and no error: the tasks that follow find out by themselves.

    Parameters
    ----------
    invocations
        Where the function runs.
    function_name
        The function; it must be there and not be Pending.
    count
        Pings, at most `CONCURRENCY_QUOTA`.
    timeout_s
        The function's timeout.

    Returns
    -------
    int
        Environments that were started; those that were there already do not count.
    """
    ping = json.dumps({"v": wire.VERSION, "ping": True, "hold_s": _PING_HOLD_S}).encode()

    async def start() -> bool:
        try:
            reply = await invocations.invoke(function_name, ping, timeout_s=timeout_s)
            if reply.payload.get("pong"):
                return bool(reply.payload["cold"])
            log.warning("Function %s did not answer a ping: %s", function_name, reply.payload)
        # Whatever it is, it must not become the error of a task.
        except Exception as exc:
            log.warning("A ping to function %s failed: %r", function_name, exc)
        return False

    pings = max(0, min(count, CONCURRENCY_QUOTA))
    started = sum(await asyncio.gather(*(start() for _ in range(pings))))
    log.info("Function %s: %d of %d pings started an environment.", function_name, started, pings)
    return started


def service_for(options: Options) -> Service:
    """Return the process's service for these options: equal options share one."""
    return _service(options.json_text)


class Stores(NamedTuple):
    """Where the things of an account are."""

    registry: Registry
    functions: Functions
    invocations: Invocations
    logs: Logs


def stores_for(options: Options) -> Stores:
    """Return where the things are that an executor with these options makes."""
    target = AwsTarget.of(options)
    clients = clients_for(target)
    return Stores(
        registry=EcrRegistry(clients, options.ecr_repository),
        functions=LambdaFunctions(clients),
        invocations=_invocations_for(target),
        logs=FunctionLogs(clients),
    )


class Workshop(NamedTuple):
    """Where images are made on this machine."""

    engine: ImageStore
    cache: Path


def workshop_for(options: Options) -> Workshop:
    """Return where an executor with these options makes images."""
    return Workshop(engine=DockerEngine(), cache=_cache_folder(options.cache_dir))


@functools.lru_cache(maxsize=256)
def _service(options_json: str) -> Service:
    return Service(Options.model_validate_json(options_json))


@functools.lru_cache(maxsize=64)
def _readied_for(target: AwsTarget) -> set[tuple[str, int]]:  # noqa: ARG001 - the cache's key
    """Return the functions of an account that this process made ready, and how many it warmed."""
    return set()


@functools.lru_cache(maxsize=64)
def _invocations_for(target: AwsTarget) -> LambdaInvocations:
    return LambdaInvocations(clients_for(target))


@functools.lru_cache(maxsize=64)
def _invoker_for(target: AwsTarget, bucket: str) -> Invoker:
    """Return what runs tasks with a bucket, whatever their other options: those of a dispatch that
    are called off stand in one object.
    """
    return Invoker(_invocations_for(target), S3Bucket(clients_for(target), bucket))


@functools.lru_cache(maxsize=64)
def _provisioner_for(
    target: AwsTarget,
    repository: str,
    cache_dir: str,
    read_settings: Callable[[], InstallSettings],
    max_image_mb: int,
) -> Provisioner:
    clients = clients_for(target)
    cache = _cache_folder(cache_dir)
    return Provisioner(
        builder=image_builder(DockerEngine(), read_settings, cache, max_image_mb=max_image_mb),
        registry=EcrRegistry(clients, repository),
        functions=LambdaFunctions(clients, creator=lambda: clients.caller_arn),
        lock_directory=cache / "locks",
    )


def _cache_folder(cache_dir: str) -> Path:
    return Path(cache_dir).expanduser().absolute()


def image_builder(
    engine: Engine,
    read_settings: Callable[[], InstallSettings],
    cache: Path,
    *,
    max_image_mb: int = LAMBDA_IMAGE_MB,
) -> TaskImageBuilder:
    """Return what builds images on an engine, with packages installed on this machine.

    Parameters
    ----------
    engine
        Where they are built.
    read_settings
        Returns how packages are reached.
    cache
        Folder for what serves later builds; its path is absolute.
    max_image_mb
        Largest size of an image, uncompressed.
    """
    wheels = UvInstaller(cache / "uv")
    installer = PackageInstaller(engine, wheels, read_settings, cache / "wheels")
    return TaskImageBuilder(engine, installer, cache, max_image_mb=max_image_mb)


@functools.lru_cache(maxsize=64)
def _settings_reader(
    index_url: str, extra_index_urls: tuple[str, ...], ca_bundle: str
) -> Callable[[], InstallSettings]:
    """Return what reads how packages are reached; the same for equal arguments."""
    path = Path(ca_bundle).expanduser() if ca_bundle else None
    if path is not None and not path.is_file():
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor option ca_bundle={ca_bundle!r}: there is no such file on "
            "the dispatcher's machine."
        )
    return functools.partial(
        machine_settings, index_url=index_url, extra_index_urls=extra_index_urls, ca_bundle=path
    )
