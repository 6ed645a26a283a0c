"""Every option of the executor, declared once: type, range, default, meaning and flag.

All else follows from here: the checks of `options.schema`, the executor's signature and docstring,
the flags of the command line and ``docs/options.md``. Nothing heavy is imported, so that the
command line's help is quick.
"""

# ruff: noqa: RUF012 - Pydantic copies these defaults for each instance.

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from covalent_lambda_container.options.limits import (
    AWS_ROOT_IMAGE,
    CONCURRENCY_QUOTA,
    LAMBDA_IMAGE_MB,
    LONGEST_TIMEOUT_S,
    MAX_SECURITY_GROUPS,
    MAX_SUBNETS,
    MEMORY_MB,
    TMP_MB,
)


@dataclass(frozen=True)
class Option:
    """What is said of an option beside its type.

    Parameters
    ----------
    description
        What it is, in one sentence or two; part of error messages, help and documentation.
    remark
        What only the documentation adds.
    flag
        Flag of the command line and its placeholder: ``"--bucket NAME"``.
    function
        Field of `FunctionSpec` that has the option's value, for options that functions are made
        with.
    """

    description: str
    remark: str = ""
    flag: str = ""
    function: str = ""


class CoreSchema:
    """Changes Pydantic's schema of a type, without an import of Pydantic.

    Parameters
    ----------
    changes
        Entries of the core schema: ``strict``, ``pattern``.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return the schema of the type with the changes; called by Pydantic."""
        return {**handler(source), **self._changes}


def pattern(text: str) -> CoreSchema:
    """Return the annotation of a text that must match a regular expression."""
    return CoreSchema(pattern=text)


STRICT: Final = CoreSchema(strict=True)
Text = Annotated[str, STRICT]
Whole = Annotated[int, STRICT]
Number = Annotated[float, STRICT]
Truth = Annotated[bool, STRICT]


class AccountOptions:
    """Account and credentials"""

    region: Annotated[Text, Option("AWS region; default: the profile's.", flag="--region NAME")] = (
        ""
    )
    profile: Annotated[
        Text, Option("Profile in the AWS configuration; default: boto3's.", flag="--profile NAME")
    ] = ""
    credentials_file: Annotated[
        Text,
        Option(
            "AWS credentials file; default: where boto3 looks.",
            remark="`credentials` is its older name.",
            flag="--credentials-file FILE",
        ),
    ] = ""
    endpoint_url: Annotated[
        Text,
        Option(
            "Another AWS endpoint, such as a local stack; default: AWS.", flag="--endpoint-url URL"
        ),
    ] = ""
    s3_bucket_name: Annotated[
        Text,
        pattern(r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$"),
        MinLen(3),
        MaxLen(63),
        Option(
            "Existing S3 bucket through which large tasks and results pass: lowercase letters, "
            "digits, hyphens and dots.",
            flag="--bucket NAME",
        ),
    ] = "covalent-lambda-job-resources"
    ecr_repository: Annotated[
        Text,
        pattern(r"^[a-z0-9]+([._/-][a-z0-9]+)*$"),
        MinLen(2),
        MaxLen(256),
        Option(
            "ECR repository of the images; created when it is missing.",
            remark="A dispatcher with the policy of `covalent-lambda policy dispatcher` may not "
            "create it; `covalent-lambda bootstrap` does.",
            flag="--repository NAME",
        ),
    ] = "covalent-lambda"
    lambda_role_name: Annotated[
        Text,
        MinLen(1),
        Option(
            "Execution role of the functions: a name or, if it has a path, an ARN.",
            flag="--role NAME",
        ),
    ] = "CovalentLambdaExecutionRole"


class TaskOptions:
    """Resources of a task"""

    timeout: Annotated[
        Whole,
        Ge(1),
        Le(LONGEST_TIMEOUT_S),
        Option(
            f"Seconds a task may take, 1 to {LONGEST_TIMEOUT_S} (Lambda's limit).",
            function="timeout_s",
        ),
    ] = 60
    memory_size: Annotated[
        Whole,
        Ge(MEMORY_MB[0]),
        Le(MEMORY_MB[1]),
        Option(
            f"Memory of a task in MB, {MEMORY_MB[0]} to {MEMORY_MB[1]}; CPU grows with it.",
            function="memory_mb",
        ),
    ] = 512
    ephemeral_storage: Annotated[
        Whole,
        Ge(TMP_MB[0]),
        Le(TMP_MB[1]),
        Option(f"Size of /tmp in MB, {TMP_MB[0]} to {TMP_MB[1]}.", function="ephemeral_storage_mb"),
    ] = 512
    environment: Annotated[
        dict[Text, Text],
        Option("Environment variables of the functions.", function="environment"),
    ] = {}
    subnet_ids: Annotated[
        list[Annotated[Text, pattern(r"^subnet-[0-9a-f]+$")]],
        MaxLen(MAX_SUBNETS),
        Option(
            f"Subnets of the VPC that the functions join, up to {MAX_SUBNETS}; with "
            "security_group_ids.",
            remark="The subnets need a route to S3. `covalent-lambda bootstrap --vpc` gives the "
            "execution role the permissions to join them, and `covalent-lambda policy dispatcher "
            "--vpc` the dispatcher.",
            function="subnet_ids",
        ),
    ] = []
    security_group_ids: Annotated[
        list[Annotated[Text, pattern(r"^sg-[0-9a-f]+$")]],
        MaxLen(MAX_SECURITY_GROUPS),
        Option(
            f"Security groups of the functions in their VPC, up to {MAX_SECURITY_GROUPS}; with "
            "subnet_ids.",
            function="security_group_ids",
        ),
    ] = []
    file_system: Annotated[
        dict[Text, Text],
        Option(
            'EFS access point that the functions mount, {"arn": its ARN, "mount_path": '
            '"/mnt/NAME"}; needs subnet_ids.'
        ),
    ] = {}


class ImageOptions:
    """Contents of the image"""

    requirements: Annotated[
        list[Text],
        Option(
            "pip requirements that every electron of this executor gets; "
            '["-r FILE"] reads them from a file.',
            remark="The file is read when the executor is created.",
        ),
    ] = []
    constraints: Annotated[
        list[Text],
        Option(
            "Requirements of packages that are installed only if another package needs them, as "
            "in pip's constraints files."
        ),
    ] = []
    local_packages: Annotated[
        list[Text],
        Option(
            "Packages and modules of your own that go into the images as they are: the names they "
            "are imported by, or paths.",
            remark="They are looked up when the executor is created, and read where the "
            "dispatcher runs. Caches and hidden files are left out, and so is what a "
            "`.dockerignore` in the package, or above it in its project, excludes.",
        ),
    ] = []
    bash_deps: Annotated[
        Literal["build", "runtime"],
        Option(
            "When commands of DepsBash run: once while the image is built, or before each task, "
            "in a folder under /tmp."
        ),
    ] = "build"
    base_image: Annotated[
        Text,
        pattern(r"^([a-zA-Z0-9\[][a-zA-Z0-9._:/@\[\]-]*)?$"),
        Option(
            f"Root image; default: {AWS_ROOT_IMAGE}:X.Y, X.Y being the client's Python.",
            flag="--base-image IMAGE",
        ),
    ] = ""
    architecture: Annotated[
        Literal["x86_64", "arm64"],
        Option(
            "Processor of the functions: x86_64 or arm64.",
            flag="--architecture x86_64|arm64",
            function="architecture",
        ),
    ] = "x86_64"
    force_rebuild: Annotated[
        Truth,
        Option(
            "Rebuild and push each image, once in each process of the dispatcher, although ECR "
            "has it.",
            remark="From then on the new image is the one that is found; functions that were "
            "created from the old one keep it.",
        ),
    ] = False
    max_image_mb: Annotated[
        Whole,
        Ge(1),
        Le(LAMBDA_IMAGE_MB),
        Option(
            f"Largest image that is pushed, in MB uncompressed, up to {LAMBDA_IMAGE_MB} (Lambda's "
            "limit)."
        ),
    ] = LAMBDA_IMAGE_MB


class IndexOptions:
    """Package indexes"""

    ca_bundle: Annotated[
        Text,
        Option(
            "PEM file of certificate authorities to trust when packages are installed; default: "
            "PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE of the dispatcher's environment, or "
            "pip's configuration.",
            flag="--ca-bundle FILE",
        ),
    ] = ""
    pip_index_url: Annotated[
        Text,
        Option(
            "Package index, without credentials; default: the dispatcher's, as uv's and pip's "
            "environment variables and pip's configuration say.",
            flag="--index-url URL",
        ),
    ] = ""
    pip_extra_index_urls: Annotated[
        list[Text],
        Option(
            "Further package indexes, without credentials, searched before those of the "
            "dispatcher's machine."
        ),
    ] = []


class FunctionOptions:
    """Behaviour of functions"""

    reserved_concurrency: Annotated[
        Whole,
        Ge(0),
        Option(
            "Executions that Lambda reserves for each function and does not let it exceed, "
            "1 or more; 0: none. A function that an edit has replaced keeps its own until "
            "`covalent-lambda gc` removes it.",
            remark="The dispatcher needs `covalent-lambda policy dispatcher "
            "--reserved-concurrency`.",
            function="reserved_concurrency",
        ),
    ] = 0
    prewarm: Annotated[
        Whole,
        Ge(0),
        Le(CONCURRENCY_QUOTA),
        Option(
            "Execution environments started at once before a function's first task, "
            f"0 to {CONCURRENCY_QUOTA}.",
            remark="In each process of the dispatcher.",
        ),
    ] = 0
    kms_key_arn: Annotated[
        Text,
        pattern(
            r"^(arn:aws[a-zA-Z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[a-zA-Z0-9/_-]+)?$",
        ),
        Option(
            "ARN of the KMS key that encrypts the functions' environment variables and images; "
            "default: AWS's own.",
            function="kms_key_arn",
        ),
    ] = ""
    tags: Annotated[
        dict[Text, Text], Option("AWS tags put on the functions.", function="tags")
    ] = {}
    poll_freq: Annotated[
        Number,
        Gt(0),
        Le(LONGEST_TIMEOUT_S),
        Option("Seconds between looks for the result of a task whose connection was lost."),
    ] = 5.0
    cleanup: Annotated[Truth, Option("Remove a task's S3 objects when it has ended.")] = True
    usage_report: Annotated[
        Truth,
        Option("End each task's stderr with a line on its duration, memory and estimated cost."),
    ] = True
    sublattice_executors: Annotated[
        list[Text],
        Option(
            "Further executors that the electrons of a sublattice may use if its graph is built in "
            'Lambda, by name; "*": any executor, with any hooks.',
            remark="Without it, a sublattice may use this executor and those that its own "
            "`@ct.lattice` and its parent's name. A task can forge the graph, and Covalent's "
            "server runs it: `local` is the server's own machine.",
        ),
    ] = []
    cache_dir: Annotated[
        Text,
        Option(
            "Folder for lock files and for packages that later builds use.",
            flag="--cache-dir FOLDER",
        ),
    ] = "~/.cache/covalent/lambda_container"


SECTIONS: Final = (AccountOptions, TaskOptions, ImageOptions, IndexOptions, FunctionOptions)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One option as it is declared above.

    Parameters
    ----------
    name, section
        Its name, and the heading that it stands under.
    type
        Its plain type: ``str``, ``list[str]``.
    default
        Its default.
    option
        What is said of it.
    """

    name: str
    section: str
    type: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """Flag of the command line, ``"--bucket"``; empty if there is none."""
        return self.option.flag.partition(" ")[0]

    @property
    def placeholder(self) -> str:
        """What help shows in place of the flag's value."""
        return self.option.flag.partition(" ")[2]


def _declared() -> Mapping[str, Declared]:
    found = {}
    for section in SECTIONS:
        for name, annotation in get_type_hints(section, include_extras=True).items():
            base, *metadata = get_args(annotation)
            (option,) = (each for each in metadata if isinstance(each, Option))
            found[name] = Declared(
                name=name,
                section=str(section.__doc__),
                type=_plain(base),
                default=getattr(section, name),
                option=option,
            )
    return types.MappingProxyType(found)


def _plain(annotation: Any) -> Any:
    """Return a type without what is annotated; a literal's is its values'."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin is Literal:
        return type(arguments[0])
    return origin[tuple(map(_plain, arguments))] if origin else annotation


OPTIONS: Final = _declared()
"""Every option by its name."""
