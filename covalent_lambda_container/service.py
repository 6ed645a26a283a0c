"""The parts put together: what one process needs to run tasks with given options.

Everything here is shared by all executor instances with equal options, since Covalent makes a new
instance for every task.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import Final

from covalent_lambda_container.aws import AwsTarget, clients_for
from covalent_lambda_container.covalent_task import Task
from covalent_lambda_container.docker_engine import DockerImageBuilder
from covalent_lambda_container.dockerfile import InstallSettings, recipe_digest
from covalent_lambda_container.ecr import EcrRegistry
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.invocation import Call, Invoker, Outcome
from covalent_lambda_container.lambda_functions import LambdaFunctions
from covalent_lambda_container.options import AWS_ROOT_IMAGE, Options
from covalent_lambda_container.ports import FunctionMissing
from covalent_lambda_container.provision import Provisioner
from covalent_lambda_container.s3 import S3Bucket
from covalent_lambda_container.spec import (
    FunctionSpec,
    ImageReference,
    ImageSpec,
    canonical_requirements,
    sorted_pairs,
    with_required,
)

MAX_IN_FLIGHT: Final = 1000
"""Tasks that one process has under way at once: Lambda's default concurrency quota for an account
(Lambda quotas page, read 2026-11). Further tasks wait for their turn."""

_CA_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class Service:
    """Runs tasks with one set of options.

    Parameters
    ----------
    options
        The executor's options.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        target = AwsTarget(
            credentials_file=options.credentials_file,
            profile=options.profile,
            region=options.region,
            endpoint_url=options.endpoint_url,
        )
        clients = clients_for(target)
        self._bucket = S3Bucket(clients, options.s3_bucket_name)
        self._functions = LambdaFunctions(clients, connections=MAX_IN_FLIGHT)
        self._provisioner = _provisioner_for(
            target, options.ecr_repository, options.cache_dir, _ca_bundle(options)
        )
        self._invoker = Invoker(self._functions, self._bucket)

    def run(self, task: Task, dispatch_id: str, node_id: int) -> Outcome:
        """Run a task, making its image and function first if they do not exist.

        Raises
        ------
        LambdaContainerError
            When it could not be run; nothing was run twice.
        """
        role_arn = self._account
        image_spec = self.image_spec(task)
        for attempt in ("first", "last"):
            function_spec = self._function_spec(
                self._provisioner.ensure_image(image_spec), role_arn
            )
            name = self._provisioner.ensure_function(function_spec)
            try:
                return self._invoker.run(self._call(task, name, dispatch_id, node_id))
            except FunctionMissing:
                # Somebody deleted it since this process last looked; nothing ran.
                self._provisioner.forget(image_spec, function_spec)
                if attempt == "last":
                    raise
        raise AssertionError("unreachable")

    def image_spec(self, task: Task) -> ImageSpec:
        """Return what the image of a task must contain."""
        options = self._options
        own = canonical_requirements(options.requirements, origin="requirements")
        at_build = options.bash_deps == "build"
        return ImageSpec(
            python_version=task.python_version,
            architecture=options.architecture,
            base_image=options.base_image or f"{AWS_ROOT_IMAGE}:{task.python_version}",
            requirements=with_required({*own, *task.requirements}, task.data_requirements),
            cloudpickle_version=task.cloudpickle_version,
            covalent_version=task.covalent_version,
            commands=task.commands if at_build else (),
            recipe=recipe_digest(),
        )

    @functools.cached_property
    def _account(self) -> str:
        """Check what every task needs before anything is built, once; return the role's ARN."""
        role_arn = self._functions.role_arn(self._options.lambda_role_name)
        self._bucket.check()
        return role_arn

    def _function_spec(self, image: ImageReference, role_arn: str) -> FunctionSpec:
        options = self._options
        return FunctionSpec(
            image=image,
            architecture=options.architecture,
            role_arn=role_arn,
            memory_mb=options.memory_size,
            timeout_s=options.timeout,
            ephemeral_storage_mb=options.ephemeral_storage,
            environment=sorted_pairs(options.environment),
            tags=sorted_pairs(options.tags),
        )

    def _runtime_commands(self, task: Task) -> list[str]:
        return list(task.commands) if self._options.bash_deps == "runtime" else []

    def _call(self, task: Task, name: str, dispatch_id: str, node_id: int) -> Call:
        options = self._options
        return Call(
            function_name=name,
            payload=task.payload | {"commands": self._runtime_commands(task)},
            payload_bytes=task.payload_bytes,
            dispatch_id=dispatch_id,
            node_id=node_id,
            timeout_s=options.timeout,
            memory_mb=options.memory_size,
            poll_interval_s=options.poll_freq,
            cleanup=options.cleanup,
        )


def service_for(options: Options) -> Service:
    """Return the process's service for these options: equal options share one."""
    return _service(options.model_dump_json())


@functools.lru_cache(maxsize=256)
def _service(options_json: str) -> Service:
    return Service(Options.model_validate_json(options_json))


@functools.lru_cache(maxsize=64)
def _provisioner_for(
    target: AwsTarget, repository: str, cache_dir: str, ca_bundle: Path | None
) -> Provisioner:
    clients = clients_for(target)
    settings = InstallSettings(ca_bundle=ca_bundle.read_bytes() if ca_bundle else None)
    return Provisioner(
        builder=DockerImageBuilder(settings),
        registry=EcrRegistry(clients, repository),
        functions=LambdaFunctions(clients, connections=MAX_IN_FLIGHT),
        lock_directory=Path(cache_dir).expanduser() / "locks",
    )


def _ca_bundle(options: Options) -> Path | None:
    """Find the authorities that pip on this machine trusts, as pip and requests look for them."""
    if options.ca_bundle:
        path = Path(options.ca_bundle).expanduser()
        if not path.is_file():
            raise ConfigurationError(
                f"AWSLambdaContainerExecutor option ca_bundle={options.ca_bundle!r}: there is no "
                "such file on the dispatcher's machine."
            )
        return path
    for variable in _CA_VARIABLES:
        value = os.environ.get(variable)
        if value and Path(value).is_file():
            return Path(value)
    return None
