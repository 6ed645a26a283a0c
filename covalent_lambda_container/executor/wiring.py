"""Puts the parts together for one set of options; parts are shared wherever possible.

Covalent makes a new executor instance for every task; everything here is kept for the process.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from covalent_lambda_container.adapters.aws.cloudwatch_logs import FunctionLogs
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget, clients_for
from covalent_lambda_container.adapters.docker.connection import registry_credentials
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.docker.image_store import DockerImageStore
from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.adapters.registry.engine import RegistryEngine
from covalent_lambda_container.adapters.registry.references import Reference
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.adapters.registry.root_images import RootImages
from covalent_lambda_container.adapters.uv_installer import UvInstaller
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.executor.service import Service
from covalent_lambda_container.executor.targets import FunctionTargets
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.images.builder import TaskImageBuilder
from covalent_lambda_container.images.builder_choice import DockerOrRegistry
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.options.limits import LAMBDA_IMAGE_MB
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.ports.engine import Engine, ImageStore
from covalent_lambda_container.ports.functions import Functions, Invocations
from covalent_lambda_container.ports.registry import Registry, RegistryLogin
from covalent_lambda_container.ports.stores import Logs
from covalent_lambda_container.tasks.invoker import Invoker


def service_for(options: Options) -> Service:
    """Return the process's service for these options; equal options share one."""
    return _service(options.json_text)


def target_of(options: Options) -> AwsTarget:
    """Return the account, identity, region and endpoint that the executor's options name."""
    return AwsTarget(
        credentials_file=options.credentials_file,
        profile=options.profile,
        region=options.region,
        endpoint_url=options.endpoint_url,
    )


def clients_of(options: Options) -> AwsClients:
    """Return the process's AWS clients for the executor's options."""
    return clients_for(target_of(options))


class AccountStores(NamedTuple):
    """Stores of an account: images, functions and logs."""

    registry: Registry
    functions: Functions
    invocations: Invocations
    logs: Logs


def account_stores_for(options: Options) -> AccountStores:
    """Return the stores of everything that an executor with these options creates."""
    target = target_of(options)
    clients = clients_for(target)
    return AccountStores(
        registry=EcrRegistry(clients, options.ecr_repository),
        functions=LambdaFunctions(clients),
        invocations=_invocations_for(target),
        logs=FunctionLogs(clients),
    )


class LocalBuildStores(NamedTuple):
    """Stores that builds use on this machine."""

    engine: ImageStore
    cache: Path


def local_build_stores_for(options: Options) -> LocalBuildStores:
    """Return the stores that an executor with these options builds in."""
    return LocalBuildStores(engine=DockerImageStore(), cache=_cache_folder(options.cache_dir))


@functools.lru_cache(maxsize=256)
def _service(options_json: str) -> Service:
    options = Options.model_validate_json(options_json)
    target = target_of(options)
    clients = clients_for(target)
    read_settings = _settings_reader(
        options.pip_index_url, tuple(options.pip_extra_index_urls), options.ca_bundle
    )
    targets = FunctionTargets(
        options,
        provisioner=_provisioner_for(
            target,
            options.ecr_repository,
            options.cache_dir,
            read_settings,
            options.max_image_mb,
            options.builder,
            options.ca_bundle,
        ),
        functions=LambdaFunctions(clients),
        invocations=_invocations_for(target),
        bucket=S3Bucket(clients, options.s3_bucket_name),
        identity=lambda: clients.caller_arn,
        prepared=_prepared_for(target),
    )
    return Service(
        options,
        targets=targets,
        invoker=_invoker_for(target, options.s3_bucket_name),
        renew_credentials=clients.renew_credentials,
        with_memory=lambda mb: service_for(options.model_copy(update={"memory_size": mb})),
    )


@functools.lru_cache(maxsize=64)
def _prepared_for(target: AwsTarget) -> set[tuple[str, int]]:  # noqa: ARG001 - the cache's key
    """Return the functions of an account that this process has prepared; see `FunctionTargets`."""
    return set()


@functools.lru_cache(maxsize=64)
def _invocations_for(target: AwsTarget) -> LambdaInvocations:
    return LambdaInvocations(clients_for(target))


@functools.lru_cache(maxsize=64)
def _invoker_for(target: AwsTarget, bucket: str) -> Invoker:
    """Return the invoker for a bucket, shared by all other options: one S3 object lists all
    cancelled tasks of a dispatch.
    """
    return Invoker(_invocations_for(target), S3Bucket(clients_for(target), bucket))


@functools.lru_cache(maxsize=64)
def _provisioner_for(
    target: AwsTarget,
    repository: str,
    cache_dir: str,
    read_settings: Callable[[], IndexSettings],
    max_image_mb: int,
    builder: str,
    ca_bundle: str,
) -> Provisioner:
    clients = clients_for(target)
    cache = _cache_folder(cache_dir)

    def builder_on(engine: Engine) -> TaskImageBuilder:
        return image_builder(engine, read_settings, cache, max_image_mb=max_image_mb)

    without_engine = builder_on(_registry_engine(clients, repository, cache, ca_bundle))
    docker = DockerEngine()
    return Provisioner(
        builder=without_engine
        if builder == "registry"
        else DockerOrRegistry(builder_on(docker), without_engine, docker.refusal),
        registry=EcrRegistry(clients, repository),
        functions=LambdaFunctions(clients, creator=lambda: clients.caller_arn),
        lock_directory=cache / "locks",
    )


def _registry_engine(
    clients: AwsClients, repository: str, cache: Path, ca_bundle: str
) -> RegistryEngine:
    """Return the engine that composes images for an ECR repository without Docker."""
    ecr = EcrRegistry(clients, repository)
    authorities = str(Path(ca_bundle).expanduser()) if ca_bundle else ""

    def open_repository(reference: Reference) -> Repository:
        def find_login() -> RegistryLogin | None:
            if ecr.serves(reference.host):
                return ecr.login()
            # Docker's configuration has Docker Hub under this name.
            host = reference.host.replace("registry-1.docker.io", "docker.io")
            found = registry_credentials(f"{host}/{reference.repository}")
            if not found.get("username"):
                return None
            return RegistryLogin(username=found["username"], password=found["password"])

        own = ecr.serves(reference.host)
        return Repository(
            reference,
            find_login,
            certificates=(own and clients.certificates) or authorities,
            url=ecr.registry_url(reference.host) if own else "",
        )

    @functools.cache
    def target() -> Repository:
        # The repository was ensured before the build; its address does not change.
        host, _, path = ecr.ensure_repository().partition("/")
        return open_repository(Reference(host=host, repository=path, version=""))

    return RegistryEngine(RootImages(functools.cache(open_repository)), target, cache)


def _cache_folder(cache_dir: str) -> Path:
    return Path(cache_dir).expanduser().absolute()


def image_builder(
    engine: Engine,
    read_settings: Callable[[], IndexSettings],
    cache: Path,
    *,
    max_image_mb: int = LAMBDA_IMAGE_MB,
) -> TaskImageBuilder:
    """Return the builder for images on an engine, with packages installed on this machine.

    Parameters
    ----------
    engine
        Engine that builds the images.
    read_settings
        Returns the settings of package indexes.
    cache
        Absolute path of the folder for files that later builds reuse.
    max_image_mb
        Largest size of an image, uncompressed.
    """
    wheels = UvInstaller(cache / "uv")
    installer = PackageInstaller(engine, wheels, read_settings, cache / "wheels")
    return TaskImageBuilder(engine, installer, cache, max_image_mb=max_image_mb)


@functools.lru_cache(maxsize=64)
def _settings_reader(
    index_url: str, extra_index_urls: tuple[str, ...], ca_bundle: str
) -> Callable[[], IndexSettings]:
    """Return the reader of index settings; the same one for equal arguments."""
    path = Path(ca_bundle).expanduser() if ca_bundle else None
    if path is not None and not path.is_file():
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor option ca_bundle={ca_bundle!r}: there is no such file on "
            "the dispatcher's machine."
        )
    return functools.partial(
        read_index_settings, index_url=index_url, extra_index_urls=extra_index_urls, ca_bundle=path
    )


def clear() -> None:
    """Forget everything cached in the process, as if it had just started."""
    for kept in (_service, _prepared_for, _invocations_for, _invoker_for, _provisioner_for):
        kept.cache_clear()
