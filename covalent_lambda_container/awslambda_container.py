"""The executor plugin: ``executor="awslambda_container"``.

Covalent takes the plugin's short name from this module's name.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import importlib
import logging
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from covalent._shared_files import TaskRuntimeError
from covalent._shared_files.exceptions import TaskCancelledError
from covalent._shared_files.logger import app_log
from covalent.executor.base import AsyncBaseExecutor

from covalent_lambda_container.concurrency.cancellation import (
    Cancellation,
    CancellationRegistry,
    Cancelled,
)
from covalent_lambda_container.concurrency.event_loop import (
    PerLoop,
    StartLimiter,
    in_thread,
)
from covalent_lambda_container.covalent_api import (
    client_values,
    collections,
    node_updates,
    post_processing,
    sublattices,
    transport,
    web_page,
)
from covalent_lambda_container.covalent_api import task as covalent_task
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.executor.node_progress import NodeProgress
from covalent_lambda_container.model.names import SHORT_NAME
from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.resolve import resolve, stored
from covalent_lambda_container.options.schema import Options

if TYPE_CHECKING:
    from covalent_lambda_container.tasks.outcome import Outcome

EXECUTOR_PLUGIN_NAME = "AWSLambdaContainerExecutor"
_EXECUTOR_PLUGIN_DEFAULTS = Options.defaults()

Result = TypeVar("Result")

_READ_ON_LOOP = 64 * 1024
"""Characters of a task that is taken apart on the event loop: 48 KB of opcodes take 25 ms."""

# Covalent cancels through another instance of the executor than the one that runs the task.
_under_way = CancellationRegistry()
_start_limiter = PerLoop(StartLimiter)
_node_progress = PerLoop(lambda: NodeProgress(node_updates.show_output))
# The loop itself holds tasks weakly.
_left_alone: set[asyncio.Task[Any]] = set()

_wiring: Any = None

# Covalent shows what goes through its own logger's handlers; ours joins them.
_log = logging.getLogger("covalent_lambda_container")
_log.setLevel(app_log.level)
for _handler in app_log.handlers:
    _log.addHandler(_handler)
_log.propagate = False


class AWSLambdaContainerExecutor(AsyncBaseExecutor):
    """Runs electrons on AWS Lambda, in an image that holds their pip packages.

    An argument that is not given is taken from the section ``[executors.awslambda_container]`` of
    Covalent's configuration, else it has the default below.

    Parameters
    ----------
    credentials_file : str
        AWS credentials file; default: where boto3 looks.
    profile : str
        Profile in the AWS configuration; default: boto3's.
    region : str
        AWS region; default: the profile's.
    lambda_role_name : str
        Execution role of the functions: a name or, if it has a path, an ARN. Default:
        "CovalentLambdaExecutionRole".
    s3_bucket_name : str
        Existing S3 bucket through which large tasks and results pass: lowercase letters,
        digits, hyphens and dots. Default: "covalent-lambda-job-resources".
    cache_dir : str
        Folder for lock files and for packages that later builds use. Default:
        "~/.cache/covalent/lambda_container".
    poll_freq : float
        Seconds between looks for the result of a task whose connection was lost. Default: 5.0.
    timeout : int
        Seconds a task may take, 1 to 900 (Lambda's limit). Default: 60.
    memory_size : int
        Memory of a task in MB, 128 to 10240; CPU grows with it. Default: 512.
    cleanup : bool
        Remove a task's S3 objects when it has ended. Default: True.
    endpoint_url : str
        Another AWS endpoint, such as a local stack; default: AWS.
    ecr_repository : str
        ECR repository of the images; created when it is missing. Default: "covalent-lambda".
    ephemeral_storage : int
        Size of /tmp in MB, 512 to 10240. Default: 512.
    environment : dict[str, str]
        Environment variables of the functions.
    subnet_ids : list[str]
        Subnets of the VPC that the functions join, up to 16; with security_group_ids.
    security_group_ids : list[str]
        Security groups of the functions in their VPC, up to 5; with subnet_ids.
    file_system : dict[str, str]
        EFS access point that the functions mount, {"arn": its ARN, "mount_path": "/mnt/NAME"};
        needs subnet_ids.
    requirements : list[str]
        pip requirements that every electron of this executor gets; ["-r FILE"] reads them from
        a file.
    constraints : list[str]
        Requirements of packages that are installed only if another package needs them, as in
        pip's constraints files.
    local_packages : list[str]
        Packages and modules of your own that go into the images as they are: the names they are
        imported by, or paths.
    bash_deps : str
        When commands of DepsBash run: once while the image is built, or before each task, in a
        folder under /tmp. Default: "build".
    base_image : str
        Root image; default: public.ecr.aws/lambda/python:X.Y, X.Y being the client's Python.
    architecture : str
        Processor of the functions: x86_64 or arm64. Default: "x86_64".
    builder : str
        What makes the images: docker, an engine on the dispatcher's machine, or registry, which
        composes them without one and uploads them itself. Default: "docker".
    force_rebuild : bool
        Rebuild and push each image, once in each process of the dispatcher, although ECR has
        it. Default: False.
    max_image_mb : int
        Largest image that is pushed, in MB uncompressed, up to 10240 (Lambda's limit). Default:
        10240.
    ca_bundle : str
        PEM file of certificate authorities to trust when packages are installed; default:
        PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE of the dispatcher's environment, or pip's
        configuration.
    pip_index_url : str
        Package index, without credentials; default: the dispatcher's, as uv's and pip's
        environment variables and pip's configuration say.
    pip_extra_index_urls : list[str]
        Further package indexes, without credentials, searched before those of the dispatcher's
        machine.
    reserved_concurrency : int
        Executions that Lambda reserves for each function and does not let it exceed, 1 or more;
        0: none. A function that an edit has replaced keeps its own until `covalent-lambda gc`
        removes it. Default: 0.
    prewarm : int
        Execution environments started at once before a function's first task, 0 to 1000.
        Default: 0.
    kms_key_arn : str
        ARN of the KMS key that encrypts the functions' environment variables and images;
        default: AWS's own.
    tags : dict[str, str]
        AWS tags put on the functions.
    usage_report : bool
        End each task's stderr with a line on its duration, memory and estimated cost. Default:
        True.
    sublattice_executors : list[str]
        Further executors that the electrons of a sublattice may use if its graph is built in
        Lambda, by name; "*": any executor, with any hooks.
    credentials : str
        Older name of `credentials_file`.
    log_stdout, log_stderr, time_limit, retries
        As in every Covalent executor.

    Raises
    ------
    ConfigurationError, RequirementError
        For values that cannot be used: the message names option, value and range.
    """

    def __init__(
        self,
        credentials_file: str | None = None,
        profile: str | None = None,
        region: str | None = None,
        lambda_role_name: str | None = None,
        s3_bucket_name: str | None = None,
        cache_dir: str | None = None,
        poll_freq: float | None = None,
        timeout: int | None = None,
        memory_size: int | None = None,
        cleanup: bool | None = None,
        *,
        endpoint_url: str | None = None,
        ecr_repository: str | None = None,
        ephemeral_storage: int | None = None,
        environment: dict[str, str] | None = None,
        subnet_ids: list[str] | None = None,
        security_group_ids: list[str] | None = None,
        file_system: dict[str, str] | None = None,
        requirements: list[str] | None = None,
        constraints: list[str] | None = None,
        local_packages: list[str] | None = None,
        bash_deps: str | None = None,
        base_image: str | None = None,
        architecture: str | None = None,
        builder: str | None = None,
        force_rebuild: bool | None = None,
        max_image_mb: int | None = None,
        ca_bundle: str | None = None,
        pip_index_url: str | None = None,
        pip_extra_index_urls: list[str] | None = None,
        reserved_concurrency: int | None = None,
        prewarm: int | None = None,
        kms_key_arn: str | None = None,
        tags: dict[str, str] | None = None,
        usage_report: bool | None = None,
        sublattice_executors: list[str] | None = None,
        credentials: str | None = None,
        log_stdout: str = "",
        log_stderr: str = "",
        time_limit: int = -1,
        retries: int = 0,
        **unknown: NoReturn,
    ) -> None:
        given = {name: value for name, value in locals().items() if name in OPTIONS} | unknown
        given["credentials_file"] = _either(credentials_file, credentials)
        options = resolve(given)
        super().__init__(
            log_stdout=log_stdout,
            log_stderr=log_stderr,
            cache_dir=options.cache_dir,
            time_limit=time_limit,
            retries=retries,
        )
        # Covalent stores __dict__ as JSON and gives it to a new instance for every task.
        self.__dict__.update(options.model_dump())

    async def run(
        self,
        function: Callable[..., Any],
        args: list[Any],
        kwargs: dict[str, Any],
        task_metadata: dict[str, Any],
    ) -> Any:
        """Run one electron; called by Covalent's dispatcher.

        Returns
        -------
        TransportableObject
            The electron's result, still pickled.

        Raises
        ------
        TaskRuntimeError
            When the electron raised; its traceback is in the task's stderr.
        LambdaContainerError
            When it could not be run.
        """
        dispatch_id, node_id = str(task_metadata["dispatch_id"]), int(task_metadata["node_id"])
        await _start_limiter.get().take()
        try:
            cancellation = _under_way.begin(dispatch_id, node_id)
            try:
                work = self._outcome(function, args, kwargs, dispatch_id, node_id, cancellation)
                ended = await _unless_cancelled(work, cancellation)
            finally:
                _under_way.end(dispatch_id, node_id, cancellation)
        except Cancelled:
            await _node_progress.get().leave(dispatch_id, node_id)
            raise TaskCancelledError from None
        if transport.is_transportable(ended):
            return ended
        self._write_streams(ended)
        if ended.error is not None:
            message = _message(ended.error)
            await node_updates.record_error(dispatch_id, node_id, message)
            raise TaskRuntimeError(message)
        return transport.transportable(ended.header, ended.text, ended.pickled)

    async def _outcome(
        self,
        function: Any,
        args: list[Any],
        kwargs: dict[str, Any],
        dispatch_id: str,
        node_id: int,
        cancellation: Cancellation,
    ) -> Outcome | Any:
        if covalent_task.size_of(function, args, kwargs) < _READ_ON_LOOP:
            task = _read(function, args, kwargs)
        else:
            task = await in_thread(_read, function, args, kwargs)
        if not isinstance(task, covalent_task.Task):
            return task
        if task.refers_to_covalent:
            version = await self.get_version_info()
            task = dataclasses.replace(task, covalent_version=version["covalent"])
        wiring = await _loaded_wiring()
        web_page.let_page_find_output(dispatch_id)
        await post_processing.take_over(dispatch_id, self._stored)
        service = wiring.service_for(self._options())
        contents_of = service.targets.contents_of
        async with _node_progress.get().shown(dispatch_id, node_id) as waiting:
            outcome: Outcome = await service.run(
                task,
                dispatch_id,
                node_id,
                cancellation=cancellation,
                retries=self.retries,
                waiting=waiting,
            )
        if outcome.completed and sublattices.builds_sublattice(function.args[0]):
            await in_thread(self._check_sublattice, args, outcome, contents_of)
        error = outcome.error or {}
        if not error.get("missing_module") and not error.get("loading"):
            return outcome
        return await in_thread(
            _advised, outcome, function.args[0], task, service.targets.contents_of
        )

    def _stored(self) -> dict[str, Any]:
        """Return this executor as Covalent stores it, without what belongs to a task."""
        inherited = {
            name: getattr(self, name)
            for name in ("log_stdout", "log_stderr", "time_limit", "retries")
        }
        return {
            "type": str(type(self)),
            "short_name": SHORT_NAME,
            "attributes": inherited | self._options().model_dump(),
        }

    def _check_sublattice(
        self, args: list[Any], outcome: Outcome, contents_of: Callable[[str], Any]
    ) -> None:
        options = self._options().model_dump()
        image = str(outcome.header[transport.MADE_IN])
        contents = contents_of(image)
        limits = sublattices.limits_of(
            args,
            options,
            options["sublattice_executors"],
            image=image,
            pins=frozenset(contents.packages) if contents else frozenset(),
        )
        sublattices.check_archive(outcome.text, limits)

    def _write_streams(self, outcome: Outcome) -> None:
        if self.task_stdout is None:
            # Run without Covalent's `execute`, which takes the streams.
            return
        lines = [outcome.stderr]
        if outcome.error is not None:
            lines += [outcome.error["traceback"], outcome.error.get("advice", "")]
        if self._options().usage_report and outcome.used:
            lines.append(outcome.used.line)
        self.task_stdout.write(outcome.stdout)
        # Each part begins on its own line.
        self.task_stderr.write("\n".join(line.removesuffix("\n") for line in lines if line))
        if any(lines[1:]) or outcome.stderr.endswith("\n"):
            self.task_stderr.write("\n")

    async def cancel(self, task_metadata: dict[str, Any], job_handle: Any) -> bool:  # noqa: ARG002
        """Cancel a task; called by Covalent's dispatcher.

        The dispatcher stops waiting at once. A running task is cancelled through an object in S3,
        for which its handler checks every `poll_freq` / 2 seconds, at least every second.

        Returns
        -------
        bool
            Whether the task is running here. One that is cancelled before it starts never runs.
        """
        cancellation = _under_way.cancel_task(
            str(task_metadata["dispatch_id"]), int(task_metadata["node_id"])
        )
        if cancellation is None:
            return False
        await in_thread(cancellation.request)
        return True

    def _options(self) -> Options:
        return stored(vars(self))


async def _loaded_wiring() -> Any:
    """Return the module `executor.wiring`, imported beside the event loop.

    Not above: Covalent imports its plugins with every `import covalent`, and boto3 and docker take
    longer than the rest of it. And not from `sys.modules`, which has a module from the beginning of
    its import: tasks that come together would find half of it.
    """
    global _wiring
    if _wiring is None:
        _wiring = await in_thread(importlib.import_module, f"{__package__}.executor.wiring")
    return _wiring


def _either(credentials_file: str | None, credentials: str | None) -> str | None:
    if credentials_file and credentials and credentials_file != credentials:
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor options credentials_file={credentials_file!r} and "
            f"credentials={credentials!r} differ: give one of them."
        )
    return credentials or credentials_file


def _advised(
    outcome: Outcome,
    function: Any,
    task: covalent_task.Task,
    contents_of: Callable[[str], Any],
) -> Outcome:
    # Not above: Covalent imports this module while those are being imported.
    from covalent_lambda_container.covalent_api.node_kinds import kind_of
    from covalent_lambda_container.executor.failure_advice import advised

    return advised(outcome, kind_of(function), task, contents_of)


def _message(error: Mapping[str, str]) -> str:
    """Return the task's error and the advice on it, for Covalent to show."""
    message = f"{error['type']}: {error['message']}"
    return f"{message}\n{error['advice']}" if error.get("advice") else message


def _read(function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> Any:
    """Return the task to run; or its result, if that can be put together unopened."""
    result = collections.collection(function, args, kwargs)
    if result is None:
        result = post_processing.lattice_result(function, args, kwargs)
    return covalent_task.read_task(function, args, kwargs) if result is None else result


async def _unless_cancelled(
    work: Coroutine[Any, Any, Result], cancellation: Cancellation
) -> Result:
    """Wait for the work; stop waiting at once, and raise, when the task is cancelled."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[None] = loop.create_future()
    end = functools.partial(_end, over)
    cancellation.on_request(functools.partial(loop.call_soon_threadsafe, end))
    running = loop.create_task(work)
    running.add_done_callback(end)
    try:
        await over
    except asyncio.CancelledError:
        running.cancel()
        raise
    if running.done():
        return running.result()
    # It ends with the invocation; its outcome is discarded.
    _left_alone.add(running)
    running.add_done_callback(_forget)
    raise Cancelled


def _end(over: asyncio.Future[None], _: object = None) -> None:
    if not over.done():
        over.set_result(None)


def _forget(ended: asyncio.Task[Any]) -> None:
    _left_alone.discard(ended)
    if not ended.cancelled():
        ended.exception()


def _complete_registration() -> None:
    """Register the plugin with a Covalent that this module has just imported.

    Covalent loads its plugins while it is imported. Imported from here, it finds this module only
    partly initialized and skips it.
    """
    executors = sys.modules.get("covalent.executor")
    manager = getattr(executors, "_executor_manager", None)
    if manager is not None and SHORT_NAME not in manager.executor_plugins_map:
        manager._populate_executor_map_from_module(sys.modules[__name__])
        setattr(executors, EXECUTOR_PLUGIN_NAME, AWSLambdaContainerExecutor)


_complete_registration()
client_values.note_packages()
