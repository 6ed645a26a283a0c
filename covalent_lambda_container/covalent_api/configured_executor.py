"""Covalent's executor with the options of this project as its arguments.

``docs/make_options.py --executor`` writes the arguments and their documentation from the declared
options.
"""

from __future__ import annotations

from typing import Any, NoReturn

from covalent.executor.base import AsyncBaseExecutor

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import SHORT_NAME
from covalent_lambda_container.options.resolve import resolve, stored
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.options.shown import shown_options


class ConfiguredExecutor(AsyncBaseExecutor):
    """Runs electrons on AWS Lambda, in an image that holds their pip packages.

    An argument that is not given comes from the section ``[executors.awslambda_container]`` of
    Covalent's configuration, or else has the default below.

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
        S3 bucket through which large tasks and results pass: lowercase letters, digits, hyphens
        and dots. Default: "covalent-lambda-job-resources".
    cache_dir : str
        Folder for lock files and for packages that later builds reuse. Default:
        "~/.cache/covalent/lambda_container".
    poll_freq : float
        Seconds between checks for the result of a task whose connection was lost. Default: 5.0.
    timeout : int
        Seconds a task may take, 1 to 900 (Lambda's limit). Default: 60.
    memory_size : int
        Memory of a task in MB, 128 to 10240; CPU grows with it. Default: 512.
    cleanup : bool
        Remove a task's S3 objects when it has ended. Default: True.
    endpoint_url : str
        Another AWS endpoint, such as a local stack; default: AWS.
    ecr_repository : str
        ECR repository of the images. Default: "covalent-lambda".
    max_memory_size : int
        Most memory in MB for a task that ran out of it: it is rerun with twice as much each
        time up to this limit, at most 10240; 0: no reruns for lack of memory. Default: 0.
    ephemeral_storage : int
        Size of /tmp in MB, 512 to 10240. Default: 512.
    environment : dict[str, str]
        Environment variables of the functions.
    subnet_ids : list[str]
        Subnets of the VPC that the functions join, up to 16; with security_group_ids.
    security_group_ids : list[str]
        Security groups of the functions in their VPC, up to 5; with subnet_ids.
    file_system : dict[str, str]
        Access point of EFS or S3 Files that the functions mount, {"arn": its ARN, "mount_path":
        "/mnt/NAME"}; needs subnet_ids.
    requirements : list[str]
        pip requirements that every electron of this executor gets; ["-r FILE"] reads them from
        a requirements file, pylock.toml, uv.lock or pyproject.toml; "-r uv.lock[NAME]" adds an
        extra or a dependency group.
    constraints : list[str]
        Requirements of packages that are installed only if another package needs them, as in
        pip's constraints files.
    local_packages : list[str]
        Your own packages and modules, copied into the images unchanged: import names, or paths.
    bash_deps : str
        When commands of DepsBash run: once while the image is built, before the packages are
        installed (build) or after them (after_packages), or before each task, in a folder under
        /tmp (runtime). Default: "build".
    base_image : str
        Root image; default: public.ecr.aws/lambda/python:X.Y, for the client's Python X.Y.
    architecture : str
        Processor of the functions: x86_64 or arm64. Default: "x86_64".
    builder : str
        How images are built: docker uses an engine on the dispatcher's machine; registry
        composes and uploads them without one. Default: "docker".
    force_rebuild : bool
        Rebuild and push each image, once in each process of the dispatcher, even if ECR has it.
        Default: False.
    max_image_mb : int
        Largest image that is pushed, in MB uncompressed, up to 10240 (Lambda's limit). Default:
        10240.
    ca_bundle : str
        PEM file of certificate authorities to trust when installing packages, and when reading
        a root image without Docker; default: PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE of
        the dispatcher's environment, or pip's configuration.
    pip_index_url : str
        Package index, without credentials; default: the dispatcher's, from uv's and pip's
        environment variables and pip's configuration.
    pip_extra_index_urls : list[str]
        Further package indexes, without credentials, searched before those of the dispatcher's
        machine.
    reserved_concurrency : int
        Executions that Lambda reserves for each function and does not let it exceed, 1 or more;
        0: none. A function replaced after an edit keeps its reservation until `covalent-lambda
        gc` removes it. Default: 0.
    prewarm : int
        Execution environments started at once before a function's first task, 0 to 1000.
        Default: 0.
    isolate : str
        Which dispatchers share functions: none, all whose tasks need the same one; function,
        only those with the same AWS identity. Default: "none".
    kms_key_arn : str
        ARN of the KMS key that encrypts the functions' environment variables and images;
        default: AWS's own.
    tags : dict[str, str]
        AWS tags of the functions.
    usage_report : bool
        End each task's stderr with a line on its duration, memory and estimated cost. Default:
        True.
    live_output : bool
        Show in its node what a task that runs longer than 5 seconds has printed so far.
        Default: True.
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
        A value is invalid; the message names option, value and range.
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
        max_memory_size: int | None = None,
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
        isolate: str | None = None,
        kms_key_arn: str | None = None,
        tags: dict[str, str] | None = None,
        usage_report: bool | None = None,
        live_output: bool | None = None,
        sublattice_executors: list[str] | None = None,
        credentials: str | None = None,
        log_stdout: str = "",
        log_stderr: str = "",
        time_limit: int = -1,
        retries: int = 0,
        **unknown: NoReturn,
    ) -> None:
        given = {
            "credentials_file": credentials_file,
            "profile": profile,
            "region": region,
            "lambda_role_name": lambda_role_name,
            "s3_bucket_name": s3_bucket_name,
            "cache_dir": cache_dir,
            "poll_freq": poll_freq,
            "timeout": timeout,
            "memory_size": memory_size,
            "cleanup": cleanup,
            "endpoint_url": endpoint_url,
            "ecr_repository": ecr_repository,
            "max_memory_size": max_memory_size,
            "ephemeral_storage": ephemeral_storage,
            "environment": environment,
            "subnet_ids": subnet_ids,
            "security_group_ids": security_group_ids,
            "file_system": file_system,
            "requirements": requirements,
            "constraints": constraints,
            "local_packages": local_packages,
            "bash_deps": bash_deps,
            "base_image": base_image,
            "architecture": architecture,
            "builder": builder,
            "force_rebuild": force_rebuild,
            "max_image_mb": max_image_mb,
            "ca_bundle": ca_bundle,
            "pip_index_url": pip_index_url,
            "pip_extra_index_urls": pip_extra_index_urls,
            "reserved_concurrency": reserved_concurrency,
            "prewarm": prewarm,
            "isolate": isolate,
            "kms_key_arn": kms_key_arn,
            "tags": tags,
            "usage_report": usage_report,
            "live_output": live_output,
            "sublattice_executors": sublattice_executors,
        }
        _check_retries(retries)
        given["credentials_file"] = _either(credentials_file, credentials)
        options = resolve(given | unknown)
        super().__init__(
            log_stdout=log_stdout,
            log_stderr=log_stderr,
            cache_dir=options.cache_dir,
            time_limit=time_limit,
            retries=retries,
        )
        # Covalent stores __dict__ as JSON and gives it to a new instance for every task.
        self.__dict__.update(options.model_dump())

    def __repr__(self) -> str:
        """Return the class and the options that differ from their defaults."""
        return f"{type(self).__name__}({shown_options(vars(self))})"

    def options(self) -> Options:
        """Return this executor's current options."""
        return stored(vars(self))

    def stored(self) -> dict[str, Any]:
        """Return this executor as Covalent stores it, without the attributes of a task."""
        inherited = {
            name: getattr(self, name)
            for name in ("log_stdout", "log_stderr", "time_limit", "retries")
        }
        return {
            "type": str(type(self)),
            "short_name": SHORT_NAME,
            "attributes": inherited | self.options().model_dump(),
        }


def _check_retries(retries: Any) -> None:
    if not isinstance(retries, int) or isinstance(retries, bool) or retries < 0:
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor option retries={retries!r}: should be a whole number, 0 "
            "or more. How often a task that crashed, timed out or ran out of memory is run again."
        )


def _either(credentials_file: str | None, credentials: str | None) -> str | None:
    if credentials_file and credentials and credentials_file != credentials:
        raise ConfigurationError(
            f"AWSLambdaContainerExecutor options credentials_file={credentials_file!r} and "
            f"credentials={credentials!r} differ: pass only one of them."
        )
    return credentials or credentials_file
