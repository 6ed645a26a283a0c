"""The executor's options as validated values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.specs import sorted_pairs
from covalent_lambda_container.options import validators
from covalent_lambda_container.options.building import ImageOptions, IndexOptions
from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.option import form_of
from covalent_lambda_container.options.running import (
    AccountOptions,
    FunctionOptions,
    TaskOptions,
)
from covalent_lambda_container.options.suggestions import did_you_mean
from covalent_lambda_container.packages import local_packages
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import names_file, read_requirement_lines
from covalent_lambda_container.packages.urls import without_credentials, without_login

_SUBJECT: Final = re.compile(r"^(Input|String|List|Dictionary) (?=should )")
"""How Pydantic's messages begin; ours begin with the option."""


class Options(FunctionOptions, IndexOptions, ImageOptions, TaskOptions, AccountOptions, BaseModel):
    """All options of the executor, validated; every value is plain JSON.

    An empty string is the default of options that AWS, pip or boto3 choose a value for.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    _requirements = field_validator("requirements")(validators.check_requirements)
    _constraints = field_validator("constraints")(validators.check_constraints)
    _index = field_validator("pip_index_url")(validators.check_index)
    _indexes = field_validator("pip_extra_index_urls")(validators.check_indexes)
    _endpoint = field_validator("endpoint_url")(validators.check_endpoint)
    _environment = field_validator("environment")(validators.check_environment)
    _tags = field_validator("tags")(validators.check_tags)
    _security_groups = field_validator("security_group_ids")(validators.check_security_groups)
    _file_system = field_validator("file_system")(validators.check_file_system)
    _max_memory = field_validator("max_memory_size")(validators.check_max_memory)
    _prewarm = field_validator("prewarm")(validators.check_prewarm)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return every option's default, in the form of Covalent's configuration file."""
        return cls().model_dump()

    @cached_property
    def json_text(self) -> str:
        """All options as JSON text; the same for equal options."""
        return self.model_dump_json()

    def function_fields(self) -> dict[str, Any]:
        """Return the fields of `FunctionSpec` that come from options, in its form."""
        fields = {
            declared.option.function: _canonical(getattr(self, name))
            for name, declared in OPTIONS.items()
            if declared.option.function
        }
        return fields | {
            "file_system_arn": self.file_system.get("arn", ""),
            "mount_path": self.file_system.get("mount_path", ""),
        }

    def wanted(self) -> Requirements:
        """Return the requirements of every electron of this executor."""
        return read_requirement_lines(
            self.requirements, origin=validators.REQUIREMENTS
        ) | read_requirement_lines(self.constraints, origin=validators.CONSTRAINTS, constrain=True)

    @classmethod
    def check(cls, values: Mapping[str, Any], *, folder: Path | None = None) -> Options:
        """Validate option values.

        Parameters
        ----------
        values
            Options by name.
        folder
            Base of relative paths in `requirements` and `local_packages`; requirements files are
            replaced by their lines, and packages by their absolute paths. None if files cannot be
            read here; naming one is then an error.

        Raises
        ------
        ConfigurationError
            Names each invalid option, its value, and what is allowed.
        RequirementError
            One of ``requirements`` is not a valid requirement.
        """
        if folder is not None:
            values = _with_files_read(values, folder)
            values = _with_packages_located(values, folder)
        try:
            return cls(**values)
        except ValidationError as exc:
            raise ConfigurationError(_explain(exc)) from None


def _with_files_read(values: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    lines, constraints = values.get("requirements", []), values.get("constraints", [])
    # Pydantic reports values of the wrong type.
    if not all(isinstance(one, list) for one in (lines, constraints)):
        return values
    if not any(isinstance(line, str) and names_file(line) for line in lines):
        return values
    found = read_requirement_lines(lines, origin=validators.REQUIREMENTS, folder=folder)
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


def _canonical(value: Any) -> Any:
    """Return a value in the form used for identities: sorted where order has no meaning."""
    if isinstance(value, dict):
        return sorted_pairs(value)
    return tuple(sorted(set(value))) if isinstance(value, list) else value


def _explain(problem: ValidationError) -> str:
    lines = []
    for error in problem.errors(include_url=False):
        name = str(error["loc"][0])
        # Name the entry of a mapping, but do not show its value.
        keys = [key for key in error["loc"][1:] if isinstance(key, str) and key != "[key]"]
        inside = "".join(f"[{key!r}]" for key in keys)
        message = _SUBJECT.sub("", error["msg"]).removeprefix("Value error, ")
        if error["type"] == "string_pattern_mismatch":
            message = f"should be {form_of(error['ctx']['pattern'])}"
        value = without_login(error["input"]) if name == "base_image" else error["input"]
        seen = f"={without_credentials(repr(value))}"
        known = OPTIONS.get(name)
        if known is None:
            message, about = "there is no such option", did_you_mean(name, OPTIONS)
        else:
            about = known.option.description
        # Values of `environment`, or of what may be a misspelling of it, may be secret.
        if name == "environment" or not (known or isinstance(error["input"], int | float)):
            seen = ""
        line = f"AWSLambdaContainerExecutor option {name}{inside}{seen}: {message}. {about}"
        lines.append(line.rstrip())
    return "\n".join(lines)
