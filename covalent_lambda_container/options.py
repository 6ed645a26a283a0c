"""The executor's options: names, defaults, meanings and limits, in one place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.spec import canonical_requirements

AWS_ROOT_IMAGE: Final = "public.ecr.aws/lambda/python"
"""AWS's own images for Lambda; their tags are Python's minor versions."""

# Environment variables that Lambda sets itself and refuses from users
# ("Defined runtime environment variables", Lambda developer guide, read 2026-11).
_RESERVED_VARIABLE = re.compile(r"^(_HANDLER|_X_AMZN_TRACE_ID|AWS_.*)$")
_VARIABLE_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9_]+$")

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
        description="Execution role of the functions: a name or an ARN.",
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
        default="~/.cache/covalent/lambda_container", description="Folder for lock files."
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
        pattern=r"^[^\s]*$",
        description=f"Root image; default: {AWS_ROOT_IMAGE}:X.Y, X.Y being the client's Python.",
    )
    architecture: Literal["x86_64", "arm64"] = Field(
        default="x86_64", description="Processor of the functions: x86_64 or arm64."
    )
    requirements: list[Text] = Field(
        default_factory=list,
        description="pip requirements that every electron of this executor gets.",
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
    ca_bundle: Text = Field(
        default="",
        description="PEM file of certificate authorities that pip trusts during a build; default: "
        "PIP_CERT, REQUESTS_CA_BUNDLE or SSL_CERT_FILE of the dispatcher's environment.",
    )

    @field_validator("requirements")
    @classmethod
    def _check_requirements(cls, requirements: list[str]) -> list[str]:
        canonical_requirements(requirements, origin="requirements")
        return requirements

    @field_validator("environment")
    @classmethod
    def _check_environment(cls, environment: dict[str, str]) -> dict[str, str]:
        for name in environment:
            if _RESERVED_VARIABLE.match(name):
                raise ValueError(f"{name} is reserved by Lambda")
            if not _VARIABLE_NAME.match(name):
                raise ValueError(
                    f"{name!r} is not a variable name: a letter, then letters, digits and _"
                )
        return environment

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return every option's default, as it stands in Covalent's configuration file."""
        return cls().model_dump()

    @classmethod
    def check(cls, values: Mapping[str, Any]) -> Options:
        """Validate option values.

        Raises
        ------
        ConfigurationError
            Names each option that is wrong, the value seen, and what it may be.
        RequirementError
            When one of ``requirements`` is no valid requirement.
        """
        try:
            return cls(**values)
        except ValidationError as exc:
            raise ConfigurationError(_explain(exc, cls)) from None


def _explain(problem: ValidationError, model: type[BaseModel]) -> str:
    lines = []
    for error in problem.errors(include_url=False):
        option = str(error["loc"][0])
        message = error["msg"].removeprefix("Value error, ").removeprefix("Input ")
        # A value of these options may be a secret.
        seen = "" if option == "environment" else f"={error['input']!r}"
        line = f"AWSLambdaContainerExecutor option {option}{seen}: {message}."
        field = model.model_fields.get(option)
        lines.append(f"{line} {field.description}" if field else line)
    return "\n".join(lines)
