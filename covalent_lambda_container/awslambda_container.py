"""The executor plugin: ``executor="awslambda_container"``.

Covalent takes the plugin's short name from this module's name.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from covalent._shared_files import TaskRuntimeError
from covalent._shared_files.config import get_config
from covalent._shared_files.logger import app_log
from covalent.executor.base import AsyncBaseExecutor

from covalent_lambda_container import covalent_task
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options import Options

if TYPE_CHECKING:
    from covalent_lambda_container.invocation import Outcome

EXECUTOR_PLUGIN_NAME = "AWSLambdaContainerExecutor"
_SECTION: Final = "executors.awslambda_container"
_EXECUTOR_PLUGIN_DEFAULTS = Options.defaults()

# Covalent shows what goes through its own logger's handlers; ours joins them.
_log = logging.getLogger("covalent_lambda_container")
_log.setLevel(app_log.level)
for _handler in app_log.handlers:
    _log.addHandler(_handler)
_log.propagate = False


class AWSLambdaContainerExecutor(AsyncBaseExecutor):
    """Runs electrons on AWS Lambda, in an image that holds their pip packages.

    Each argument that is not given is taken from the section ``[executors.awslambda_container]``
    of Covalent's configuration, else from the defaults below.

    Parameters
    ----------
    credentials_file : str
        AWS credentials file; default: where boto3 looks.
    profile : str
        Profile in the AWS configuration; default: boto3's.
    region : str
        AWS region; default: the profile's.
    lambda_role_name : str
        Execution role of the functions, a name or an ARN; "CovalentLambdaExecutionRole".
    s3_bucket_name : str
        Existing bucket through which large tasks and results pass; "covalent-lambda-job-resources".
    cache_dir : str
        Folder for lock files; "~/.cache/covalent/lambda_container".
    poll_freq : float
        Seconds between looks for the result of a task whose connection was lost; 5.
    timeout : int
        Seconds a task may take, 1 to 900; 60.
    memory_size : int
        Memory of a task in MB, 128 to 10240; 512.
    cleanup : bool
        Remove a task's S3 objects when it has ended; True.
    ecr_repository : str
        ECR repository of the images; "covalent-lambda".
    base_image : str
        Root image; default: AWS's image for the client's Python.
    architecture : str
        Processor of the functions, "x86_64" or "arm64"; "x86_64".
    requirements : list of str
        pip requirements that every electron of this executor gets.
    bash_deps : str
        When commands of DepsBash run: "build", once while the image is built, or "runtime", before
        each task, in a folder under /tmp; "build".
    environment : dict of str to str
        Environment variables of the functions.
    ephemeral_storage : int
        Size of /tmp in MB, 512 to 10240; 512.
    endpoint_url : str
        Another AWS endpoint, such as a local stack.
    tags : dict of str to str
        AWS tags put on the functions.
    ca_bundle : str
        PEM file of certificate authorities that pip trusts during a build.
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
        ecr_repository: str | None = None,
        base_image: str | None = None,
        architecture: str | None = None,
        requirements: list[str] | None = None,
        bash_deps: str | None = None,
        environment: dict[str, str] | None = None,
        ephemeral_storage: int | None = None,
        endpoint_url: str | None = None,
        tags: dict[str, str] | None = None,
        ca_bundle: str | None = None,
        credentials: str | None = None,
        log_stdout: str = "",
        log_stderr: str = "",
        time_limit: int = -1,
        retries: int = 0,
    ) -> None:
        given = {
            "credentials_file": _either(credentials_file, credentials),
            "profile": profile,
            "region": region,
            "lambda_role_name": lambda_role_name,
            "s3_bucket_name": s3_bucket_name,
            "cache_dir": cache_dir,
            "poll_freq": poll_freq,
            "timeout": timeout,
            "memory_size": memory_size,
            "cleanup": cleanup,
            "ecr_repository": ecr_repository,
            "base_image": base_image,
            "architecture": architecture,
            "requirements": requirements,
            "bash_deps": bash_deps,
            "environment": environment,
            "ephemeral_storage": ephemeral_storage,
            "endpoint_url": endpoint_url,
            "tags": tags,
            "ca_bundle": ca_bundle,
        }
        options = Options.check(_resolved(given))
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
        loop = asyncio.get_running_loop()
        dispatch_id, node_id = str(task_metadata["dispatch_id"]), int(task_metadata["node_id"])
        in_thread = functools.partial(loop.run_in_executor, _threads())
        collected = await in_thread(covalent_task.collection, function, args, kwargs)
        if collected is not None:
            return collected
        task = await in_thread(covalent_task.read_task, function, args, kwargs)
        if task.refers_to_covalent:
            version = (await self.get_version_info())["covalent"]
            task = dataclasses.replace(task, covalent_version=version)
        outcome: Outcome = await in_thread(self._run, task, dispatch_id, node_id)
        print(outcome.stdout, end="", file=self.task_stdout)
        print(outcome.stderr, end="", file=self.task_stderr)
        if outcome.error is not None:
            print(outcome.error["traceback"], end="", file=self.task_stderr)
            message = f"{outcome.error['type']}: {outcome.error['message']}"
            await covalent_task.record_error(dispatch_id, node_id, message)
            raise TaskRuntimeError(message)
        return covalent_task.transportable(outcome.header, outcome.text, outcome.pickled)

    def _run(self, task: covalent_task.Task, dispatch_id: str, node_id: int) -> Outcome:
        # Here and not above: Covalent imports its plugins with every `import covalent`, and boto3
        # and docker take longer than the rest of it.
        from covalent_lambda_container.service import service_for

        return service_for(self._options()).run(task, dispatch_id, node_id)

    def _options(self) -> Options:
        return Options.check({name: self.__dict__[name] for name in Options.model_fields})


def _either(credentials_file: str | None, credentials: str | None) -> str | None:
    if credentials_file and credentials and credentials_file != credentials:
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor options credentials_file={credentials_file!r} and "
            f"credentials={credentials!r} differ: give one of them."
        )
    return credentials_file if credentials is None else credentials


def _resolved(given: Mapping[str, Any]) -> dict[str, Any]:
    """Resolve each option: argument, else Covalent's configuration, else the default."""
    try:
        configured = get_config(_SECTION)
    except KeyError:
        configured = {}
    resolved = {}
    for name, value in given.items():
        if value is None:
            value = configured.get(name)
        resolved[name] = _EXECUTOR_PLUGIN_DEFAULTS[name] if value is None else value
    return resolved


@functools.cache
def _threads() -> ThreadPoolExecutor:
    """Return the threads that wait for Lambda; Covalent's own pool has six."""
    from covalent_lambda_container.service import MAX_IN_FLIGHT

    return ThreadPoolExecutor(max_workers=MAX_IN_FLIGHT, thread_name_prefix="covalent-lambda")
