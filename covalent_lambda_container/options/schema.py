"""The executor's options: names, defaults, meanings and limits, in one place."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import CREATOR_TAG, OWN_TAG
from covalent_lambda_container.options.limits import (
    ACCESS_POINT,
    AWS_ROOT_IMAGE,
    CONCURRENCY_QUOTA,
    ENVIRONMENT_BYTES,
    LAMBDA_IMAGE_MB,
    MAX_SECURITY_GROUPS,
    MAX_SUBNETS,
    MAX_TAGS,
    MOUNT_PATH,
    MOUNT_PATH_CHARACTERS,
    RESERVED_VARIABLE,
    TAG_KEY_CHARACTERS,
    TAG_PUNCTUATION,
    TAG_VALUE_CHARACTERS,
    VARIABLE_NAME,
)
from covalent_lambda_container.packages import local_packages
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import names_file, read_requirement_lines
from covalent_lambda_container.packages.urls import (
    INDEX_SCHEMES,
    UnusableUrl,
    checked_url,
    without_credentials,
)

_OWN_TAGS: Final = (OWN_TAG[0], CREATOR_TAG)
"""Keys of tags that the executor puts on functions itself."""


Text = Annotated[str, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]


class Options(BaseModel):
    """All options of the executor, checked; every value is plain JSON.

    An empty string means "not given", as it does in Covalent's configuration file, which has no
    null.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    credentials_file: Text = Field(
        default="", description="AWS credentials file; default: where boto3 looks."
    )
    profile: Text = Field(
        default="", description="Profile in the AWS configuration; default: boto3's."
    )
    region: Text = Field(default="", description="AWS region; default: the profile's.")
    endpoint_url: Text = Field(
        default="", description="Another AWS endpoint, such as a local stack; default: AWS."
    )
    lambda_role_name: Text = Field(
        default="CovalentLambdaExecutionRole",
        min_length=1,
        description="Execution role of the functions: a name or, if it has a path, an ARN.",
    )
    s3_bucket_name: Text = Field(
        default="covalent-lambda-job-resources",
        min_length=3,
        max_length=63,
        description="Existing bucket through which large tasks and results pass.",
    )
    ecr_repository: Text = Field(
        default="covalent-lambda",
        pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*$",
        min_length=2,
        max_length=256,
        description="ECR repository of the images; made when it is missing.",
    )
    cache_dir: Text = Field(
        default="~/.cache/covalent/lambda_container",
        description="Folder for lock files and for packages that later builds use.",
    )
    poll_freq: Annotated[float, Field(strict=True)] = Field(
        default=5,
        gt=0,
        le=900,
        description="Seconds between looks for the result of a task whose connection was lost.",
    )
    timeout: Whole = Field(
        default=60, ge=1, le=900, description="Seconds a task may take, 1 to 900 (Lambda's limit)."
    )
    memory_size: Whole = Field(
        default=512,
        ge=128,
        le=10240,
        description="Memory of a task in MB, 128 to 10240; CPU grows with it.",
    )
    ephemeral_storage: Whole = Field(
        default=512, ge=512, le=10240, description="Size of /tmp in MB, 512 to 10240."
    )
    cleanup: Annotated[bool, Field(strict=True)] = Field(
        default=True, description="Remove a task's S3 objects when it has ended."
    )
    base_image: Text = Field(
        default="",
        pattern=r"^([a-zA-Z0-9\[][a-zA-Z0-9._:/@\[\]-]*)?$",
        description=f"Root image; default: {AWS_ROOT_IMAGE}:X.Y, X.Y being the client's Python.",
    )
    architecture: Literal["x86_64", "arm64"] = Field(
        default="x86_64", description="Processor of the functions: x86_64 or arm64."
    )
    max_image_mb: Whole = Field(
        default=LAMBDA_IMAGE_MB,
        ge=1,
        le=LAMBDA_IMAGE_MB,
        description="Largest image that is pushed, in MB uncompressed, up to 10240 (Lambda's "
        "limit).",
    )
    requirements: list[Text] = Field(
        default_factory=list,
        description="pip requirements that every electron of this executor gets; "
        '["-r FILE"] reads them from a file.',
    )
    constraints: list[Text] = Field(
        default_factory=list,
        description="Requirements of packages that are installed only if another package needs "
        "them, as in pip's constraints files.",
    )
    local_packages: list[Text] = Field(
        default_factory=list,
        description="Packages and modules of your own that go into the images as they are: what "
        "they are imported as, or paths.",
    )
    force_rebuild: Annotated[bool, Field(strict=True)] = Field(
        default=False,
        description="Build and push each image anew, once in each process of the dispatcher, "
        "although ECR has it.",
    )
    bash_deps: Literal["build", "runtime"] = Field(
        default="build",
        description="When commands of DepsBash run: once while the image is built, or before "
        "each task, in a folder under /tmp.",
    )
    environment: dict[Text, Text] = Field(
        default_factory=dict, description="Environment variables of the functions."
    )
    tags: dict[Text, Text] = Field(
        default_factory=dict, description="AWS tags put on the functions."
    )
    subnet_ids: list[Annotated[Text, Field(pattern=r"^subnet-[0-9a-f]+$")]] = Field(
        default_factory=list,
        max_length=MAX_SUBNETS,
        description="Subnets of the VPC that the functions join, up to 16; with "
        "security_group_ids.",
    )
    security_group_ids: list[Annotated[Text, Field(pattern=r"^sg-[0-9a-f]+$")]] = Field(
        default_factory=list,
        max_length=MAX_SECURITY_GROUPS,
        validate_default=True,
        description="Security groups of the functions in their VPC, up to 5; with subnet_ids.",
    )
    file_system: dict[Text, Text] = Field(
        default_factory=dict,
        description='EFS access point that the functions mount, {"arn": its ARN, "mount_path": '
        '"/mnt/NAME"}; needs subnet_ids.',
    )
    kms_key_arn: Text = Field(
        default="",
        pattern=r"^(arn:aws[a-zA-Z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[a-zA-Z0-9/_-]+)?$",
        description="ARN of the KMS key that encrypts the functions' environment variables and "
        "images; default: AWS's own.",
    )
    reserved_concurrency: Whole = Field(
        default=0,
        ge=0,
        description="Executions that Lambda reserves for each function and does not let it exceed, "
        "1 or more; 0: none. A function that an edit has replaced keeps its own until "
        "`covalent-lambda gc` removes it.",
    )
    prewarm: Whole = Field(
        default=0,
        ge=0,
        le=CONCURRENCY_QUOTA,
        description="Execution environments started at once before a function's first task, "
        "0 to 1000.",
    )
    usage_report: Annotated[bool, Field(strict=True)] = Field(
        default=True,
        description="End each task's stderr with a line on its duration, memory and estimated "
        "cost.",
    )
    pip_index_url: Text = Field(
        default="",
        description="Package index, without credentials; default: the dispatcher's, as uv's and "
        "pip's environment variables and pip's configuration say.",
    )
    pip_extra_index_urls: list[Text] = Field(
        default_factory=list,
        description="Further package indexes, without credentials, before those of the "
        "dispatcher's machine.",
    )
    ca_bundle: Text = Field(
        default="",
        description="PEM file of certificate authorities to trust when packages are installed; "
        "default: PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE of the dispatcher's environment, "
        "or pip's configuration.",
    )

    @field_validator("requirements")
    @classmethod
    def _check_requirements(cls, requirements: list[str]) -> list[str]:
        read_requirement_lines(requirements, origin="requirements")
        return requirements

    @field_validator("constraints")
    @classmethod
    def _check_constraints(cls, constraints: list[str]) -> list[str]:
        read_requirement_lines(constraints, origin="constraints", constrain=True)
        return constraints

    @field_validator("pip_index_url")
    @classmethod
    def _check_index(cls, url: str) -> str:
        return _index_url(url) if url else url

    @field_validator("pip_extra_index_urls")
    @classmethod
    def _check_indexes(cls, urls: list[str]) -> list[str]:
        return [_index_url(url) for url in urls]

    @field_validator("environment")
    @classmethod
    def _check_environment(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if RESERVED_VARIABLE.fullmatch(name):
                raise ValueError(f"{name} is reserved by Lambda")
            if not VARIABLE_NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} is not a variable name: a letter, then letters, digits and _"
                )
        measured = json.dumps(environment, separators=(",", ":"), ensure_ascii=False)
        size = len(measured.encode(errors="replace"))
        if size > ENVIRONMENT_BYTES:
            raise ValueError(
                f"all variables together have {size} bytes as JSON; Lambda takes at most "
                f"{ENVIRONMENT_BYTES}"
            )
        return environment

    @field_validator("tags")
    @classmethod
    def _check_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        if len(tags) > MAX_TAGS - len(_OWN_TAGS):
            raise ValueError(
                f"{len(tags)} tags; AWS takes at most {MAX_TAGS}, of which {len(_OWN_TAGS)} are "
                "the executor's own"
            )
        for key, value in tags.items():
            if key in _OWN_TAGS:
                raise ValueError(f"key {key!r} is one of the executor's own")
            if not 1 <= len(key) <= TAG_KEY_CHARACTERS:
                raise ValueError(f"key {key!r} should have 1 to {TAG_KEY_CHARACTERS} characters")
            if key.lower().startswith("aws:"):
                raise ValueError(f"key {key!r} begins with aws:, which AWS keeps for itself")
            if len(value) > TAG_VALUE_CHARACTERS:
                raise ValueError(
                    f"the value of {key!r} should have at most {TAG_VALUE_CHARACTERS} characters"
                )
            for text in (key, value):
                if not all(map(_may_stand_in_tag, text)):
                    raise ValueError(
                        f"{text!r} should hold only letters, numbers, spaces and {TAG_PUNCTUATION}"
                    )
        return tags

    @field_validator("security_group_ids")
    @classmethod
    def _check_security_groups(cls, groups: list[str], others: ValidationInfo) -> list[str]:
        # A subnet that is wrong itself is not here, and has its own message.
        subnets = others.data.get("subnet_ids")
        if subnets is not None and bool(groups) != bool(subnets):
            raise ValueError(f"should be given together with subnet_ids, which is {subnets!r}")
        return groups

    @field_validator("file_system")
    @classmethod
    def _check_file_system(
        cls, file_system: dict[str, str], others: ValidationInfo
    ) -> dict[str, str]:
        if not file_system:
            return file_system
        if set(file_system) != {"arn", "mount_path"}:
            raise ValueError("should have the keys arn and mount_path, and no others")
        if not ACCESS_POINT.fullmatch(file_system["arn"]):
            raise ValueError(
                "arn should be an EFS access point's: "
                "arn:aws:elasticfilesystem:REGION:ACCOUNT:access-point/fsap-…"
            )
        path = file_system["mount_path"]
        if not MOUNT_PATH.fullmatch(path) or len(path) > MOUNT_PATH_CHARACTERS:
            raise ValueError(
                "mount_path should be /mnt/ and a name of letters, digits, -, _ and ., with at "
                f"most {MOUNT_PATH_CHARACTERS} characters in all"
            )
        if others.data.get("subnet_ids") == []:
            raise ValueError("should be given together with subnet_ids and security_group_ids")
        return file_system

    @field_validator("prewarm")
    @classmethod
    def _check_prewarm(cls, prewarm: int, others: ValidationInfo) -> int:
        reserved = others.data.get("reserved_concurrency")
        if reserved and prewarm > reserved:
            raise ValueError(f"should be at most reserved_concurrency, which is {reserved}")
        return prewarm

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return every option's default, as it stands in Covalent's configuration file."""
        return cls().model_dump()

    @cached_property
    def json_text(self) -> str:
        """All options as JSON text; the same for equal options."""
        return self.model_dump_json()

    def wanted(self) -> Requirements:
        """Return what the image of every electron of this executor gets."""
        return read_requirement_lines(
            self.requirements, origin="requirements"
        ) | read_requirement_lines(self.constraints, origin="constraints", constrain=True)

    @classmethod
    def check(cls, values: Mapping[str, Any], *, folder: Path | None = None) -> Options:
        """Validate option values.

        Parameters
        ----------
        values
            Options by name.
        folder
            What the files that `requirements` names are relative to, and the paths of
            `local_packages`; lines take the place of files, and absolute paths that of packages.
            None where no file can be read, and none may be named.

        Raises
        ------
        ConfigurationError
            Names each option that is wrong, the value seen, and what it may be.
        RequirementError
            When one of ``requirements`` is no valid requirement.
        """
        if folder is not None:
            values = _with_files_read(values, folder)
            values = _with_packages_located(values, folder)
        try:
            return cls(**values)
        except ValidationError as exc:
            raise ConfigurationError(_explain(exc, cls)) from None


def _with_files_read(values: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    lines, constraints = values.get("requirements", []), values.get("constraints", [])
    # What is no list of texts is explained by who validates it.
    if not all(isinstance(one, list) for one in (lines, constraints)):
        return values
    if not any(isinstance(line, str) and names_file(line) for line in lines):
        return values
    found = read_requirement_lines(lines, origin="requirements", folder=folder)
    return {
        **values,
        "requirements": [*found.options, *found.packages],
        "constraints": [*constraints, *found.constraints],
    }


def _with_packages_located(values: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    entries = values.get("local_packages", [])
    if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
        return values
    located = [local_packages.locate(entry, folder) for entry in entries]
    return {**values, "local_packages": located}


def _index_url(url: str) -> str:
    try:
        return checked_url(url, INDEX_SCHEMES)
    except UnusableUrl as exc:
        raise ValueError(f"{exc}. {exc.hint}".rstrip(". ")) from None


def _may_stand_in_tag(character: str) -> bool:
    return character in TAG_PUNCTUATION or unicodedata.category(character)[0] in "LNZ"


def _explain(problem: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for error in problem.errors(include_url=False):
        option = str(error["loc"][0])
        # Which entry of a mapping: its value is not shown.
        keys = [key for key in error["loc"][1:] if isinstance(key, str) and key != "[key]"]
        inside = "".join(f"[{key!r}]" for key in keys)
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        # A value of these options may be a secret.
        seen = "" if option == "environment" else f"={without_credentials(repr(error['input']))}"
        line = f"AWSLambdaContainerExecutor option {option}{inside}{seen}: {message}."
        field = model.model_fields.get(option)
        lines.append(f"{line} {field.description}" if field else line)
    return "\n".join(lines)
