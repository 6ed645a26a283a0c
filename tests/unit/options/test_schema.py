"""Options: their defaults, and errors with name, value and range."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.errors import ConfigurationError, RequirementError
from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.schema import Options

DEFAULTS = {
    "credentials_file": "",
    "profile": "",
    "region": "",
    "endpoint_url": "",
    "lambda_role_name": "CovalentLambdaExecutionRole",
    "s3_bucket_name": "covalent-lambda-job-resources",
    "ecr_repository": "covalent-lambda",
    "cache_dir": "~/.cache/covalent/lambda_container",
    "poll_freq": 5,
    "timeout": 60,
    "memory_size": 512,
    "max_memory_size": 0,
    "ephemeral_storage": 512,
    "cleanup": True,
    "base_image": "",
    "architecture": "x86_64",
    "max_image_mb": 10240,
    "requirements": [],
    "constraints": [],
    "local_packages": [],
    "force_rebuild": False,
    "bash_deps": "build",
    "builder": "docker",
    "environment": {},
    "tags": {},
    "subnet_ids": [],
    "security_group_ids": [],
    "file_system": {},
    "kms_key_arn": "",
    "reserved_concurrency": 0,
    "prewarm": 0,
    "isolate": "none",
    "usage_report": True,
    "live_output": True,
    "sublattice_executors": [],
    "pip_index_url": "",
    "pip_extra_index_urls": [],
    "ca_bundle": "",
}
CHOICES = ("architecture", "bash_deps", "builder", "isolate")
TEXTS = [
    name for name, default in DEFAULTS.items() if isinstance(default, str) and name not in CHOICES
]

# Option, bad value, what the message says about it.
BAD = [
    ("timeout", 0, "greater than or equal to 1"),
    ("timeout", 901, "1 to 900"),
    ("timeout", 60.5, "integer"),
    ("timeout", "60", "integer"),
    ("timeout", True, "integer"),
    ("memory_size", 127, "128 to 10240"),
    ("memory_size", 10241, "less than or equal to 10240"),
    ("memory_size", None, "integer"),
    ("max_memory_size", 511, "should be 0, or at least memory_size, which is 512"),
    ("max_memory_size", 10241, "less than or equal to 10240"),
    ("ephemeral_storage", 511, "512 to 10240"),
    ("ephemeral_storage", 10241, "512 to 10240"),
    ("poll_freq", 0, "greater than 0"),
    ("poll_freq", -1, "greater than 0"),
    ("poll_freq", 901, "less than or equal to 900"),
    ("poll_freq", float("nan"), "less than or equal to 900"),
    ("poll_freq", "5", "number"),
    ("poll_freq", False, "number"),
    ("cleanup", "yes", "boolean"),
    ("cleanup", 1, "boolean"),
    ("cleanup", None, "boolean"),
    ("architecture", "arm", "'x86_64' or 'arm64'"),
    ("architecture", "", "'x86_64' or 'arm64'"),
    ("bash_deps", "never", "'build', 'after_packages' or 'runtime'"),
    ("builder", "podman", "'docker' or 'registry'"),
    ("lambda_role_name", "", "role's name"),
    ("lambda_role_name", "My Role", "role's name"),
    ("lambda_role_name", "path/Role", "its ARN"),
    ("lambda_role_name", "arn:aws:iam::1:role/Role", "its ARN"),
    ("lambda_role_name", "arn:aws:iam::123456789012:user/me", "its ARN"),
    ("lambda_role_name", "R" * 65, "up to 64 letters"),
    ("s3_bucket_name", "ab", "='ab': should have at least 3 characters"),
    ("region", "mars-1", "should be a region's name, such as eu-central-1"),
    ("region", "us-east", "should be a region's name"),
    ("region", "eu-central-1a", "should be a region's name"),
    ("region", "EU-CENTRAL-1", "should be a region's name"),
    ("endpoint_url", "localhost:4566", "should begin with one of https://, http://"),
    ("endpoint_url", "https://", "should begin with one of https://, http://"),
    ("endpoint_url", "ftp://localhost", "should begin with one of https://, http://"),
    ("endpoint_url", "http://local_stack:4566", "has the host local_stack"),
    ("endpoint_url", "http://local stack", "invalid characters"),
    ("endpoint_url", "http://localhost:x", "not well formed"),
    ("endpoint_url", "http://localhost:4566/path", "a host and a port, and end there"),
    ("endpoint_url", "http://localhost:4566?region=x", "a host and a port, and end there"),
    ("endpoint_url", "http://localhost:4566#x", "a host and a port, and end there"),
    ("s3_bucket_name", "x" * 64, "at most 63 characters"),
    ("ecr_repository", "Upper", "should be "),
    ("ecr_repository", "with space", "should be "),
    ("ecr_repository", "line\n", "should be "),
    ("ecr_repository", "x", "at least 2 characters"),
    ("ecr_repository", "x" * 257, "at most 256 characters"),
    ("base_image", "python:3.11\nRUN true", "should be "),
    ("base_image", "python 3.11", "should be "),
    ("base_image", "python\x00", "should be "),
    ("base_image", "-v", "should be "),
    ("base_image", "http://x", "should be an image's reference without https://"),
    ("base_image", "registry.example.com//python", "should be "),
    ("base_image", "${PATH}", "should be "),
    ("pip_index_url", "pypi.example.com", "begin with one of https://, http://"),
    ("pip_index_url", "file:///srv/simple", "begin with one of https://, http://"),
    ("pip_index_url", "https://index.example.com/a b", "invalid characters"),
    ("pip_index_url", "https://index.example.com:x/", "not well formed"),
    ("pip_extra_index_urls", "https://index.example.com", "list"),
    ("pip_extra_index_urls", ["https://index.example.com", "x"], "begin with one of"),
    ("requirements", "numpy", "list"),
    ("requirements", [1], "string"),
    ("environment", ["A=b"], "dictionary"),
    ("environment", {"NAME": 1}, "string"),
    ("environment", {"AWS_REGION": "x"}, "AWS_REGION is reserved by Lambda"),
    ("environment", {"_HANDLER": "x"}, "_HANDLER is reserved by Lambda"),
    ("environment", {"A": "b"}, "at least two characters"),
    ("environment", {"1ST": "x"}, "'1ST' is not a variable name"),
    ("environment", {"A-B": "x"}, "'A-B' is not a variable name"),
    ("environment", {"": "x"}, "'' is not a variable name"),
    ("tags", {"team": 1}, "string"),
    ("tags", {"aws:team": "x"}, "which AWS reserves for itself"),
    ("subnet_ids", ["subnet-x y"], "should be "),
    ("security_group_ids", ["sg-0a"], "together with subnet_ids"),
    ("file_system", {"arn": "x"}, "keys arn and mount_path"),
    ("kms_key_arn", "1234", "should be "),
    ("reserved_concurrency", -1, "greater than or equal to 0"),
    ("prewarm", 1001, "0 to 1000"),
    ("usage_report", "yes", "boolean"),
    ("sublattice_executors", "local", "list"),
    ("tags", ["team"], "dictionary"),
    *[(name, 1, "string") for name in TEXTS],
    *[(name, None, "string") for name in TEXTS],
]


def test_every_option_has_its_default() -> None:
    assert Options.defaults() == DEFAULTS


def test_defaults_can_stand_in_a_configuration_file() -> None:
    assert json.loads(json.dumps(Options.defaults())) == DEFAULTS


@pytest.mark.parametrize("name", DEFAULTS)
def test_every_option_has_a_description(name: str) -> None:
    description = OPTIONS[name].option.description
    assert description
    assert description.endswith(".")


@pytest.mark.parametrize(("name", "value", "said"), BAD)
def test_a_bad_value_is_refused_by_name_value_and_range(name: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        Options.check({name: value})
    message = str(caught.value)
    assert message.startswith(f"AWSLambdaContainerExecutor option {name}")
    assert str(OPTIONS[name].option.description) in message
    inner = name in (
        "requirements",
        "tags",
        "subnet_ids",
        "pip_extra_index_urls",
    ) and not isinstance(value, str)
    if name != "environment" and not inner:
        assert f"={value!r}: " in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", 1),
        ("timeout", 900),
        ("memory_size", 128),
        ("memory_size", 10240),
        ("ephemeral_storage", 10240),
        ("poll_freq", 0.1),
        ("poll_freq", 900),
        ("ecr_repository", "team-a/covalent_lambda.x"),
        ("environment", {"My_Name2": ""}),
        ("base_image", f"registry.example.com:5000/python@sha256:{'0' * 64}"),
        ("architecture", "arm64"),
        ("region", "us-gov-west-1"),
        ("region", "us-isob-east-1"),
        ("region", "eusc-de-east-1"),
        ("region", "xx-nowhere-12"),
        ("endpoint_url", "http://localhost:4566"),
        ("endpoint_url", "https://lambda.eu-central-1.amazonaws.com/"),
        ("endpoint_url", "http://[::1]:4566"),
        ("endpoint_url", "http://127.0.0.1:4566"),
    ],
)
def test_values_at_the_limits_are_taken(name: str, value: Any) -> None:
    assert getattr(Options.check({name: value}), name) == value


def test_all_bad_values_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Options.check({"timeout": 0, "memory_size": 1, "region": 3})
    lines = str(caught.value).splitlines()
    assert [line.split()[2].split("=")[0] for line in lines] == ["region", "timeout", "memory_size"]


@pytest.mark.parametrize(
    "environment",
    [
        "TOKEN=hunter2",
        {"TOKEN": ["hunter2"]},
        {"AWS_SECRET_ACCESS_KEY": "hunter2"},
        {"NOT-A-NAME": "hunter2", "OTHER": "hunter2"},
    ],
)
def test_no_value_of_the_environment_is_in_a_message(environment: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Options.check({"environment": environment, "timeout": 0})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None, "pydantic's own message shows values"
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("name", ["pip_index_url", "pip_extra_index_urls"])
@pytest.mark.parametrize("login", ["user:hunter2", "hunter2", "user:a/hunter2", "user:{hunter2}"])
def test_credentials_in_an_index_are_refused_and_not_shown(name: str, login: str) -> None:
    url = f"https://{login}@index.example.com/simple"
    with pytest.raises(ConfigurationError) as caught:
        Options.check({name: url if name == "pip_index_url" else [url]})
    message = str(caught.value)
    assert message.startswith(f"AWSLambdaContainerExecutor option {name}=")
    assert "hunter2" not in message
    assert "index.example.com" in message


def test_how_to_give_credentials_of_an_index_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"PIP_INDEX_URL.*netrc.*keyring"):
        Options.check({"pip_index_url": "https://user:word@index.example.com/simple"})


def test_a_variable_name_ends_where_its_line_ends() -> None:
    with pytest.raises(ConfigurationError):
        Options.check({"environment": {"NAME\n": "x"}})


def test_a_variable_whose_value_is_no_text_is_named() -> None:
    with pytest.raises(ConfigurationError, match="NAME"):
        Options.check({"environment": {"NAME": 1}})


def test_a_requirement_is_checked_when_it_is_given() -> None:
    with pytest.raises(
        RequirementError,
        match=r"^AWSLambdaContainerExecutor option requirements: '--pre' requests pre-releases",
    ):
        Options.check({"requirements": ["numpy", "--pre"]})
    with pytest.raises(
        RequirementError,
        match=r"^AWSLambdaContainerExecutor option constraints: '--pre' requests pre-releases",
    ):
        Options.check({"constraints": ["--pre"]})


def test_a_file_that_is_not_there_is_reported_with_its_option(tmp_path: Path) -> None:
    with pytest.raises(RequirementError) as caught:
        Options.check({"requirements": ["-r nofile.txt"]}, folder=tmp_path)
    assert str(caught.value).startswith("AWSLambdaContainerExecutor option requirements: ")
    assert "nofile.txt cannot be read" in str(caught.value)


def test_credentials_in_an_endpoint_are_refused_and_not_shown() -> None:
    with pytest.raises(ConfigurationError, match="has credentials in its URL") as caught:
        Options.check({"endpoint_url": "http://user:hunter2@localhost:4566"})
    assert "hunter2" not in str(caught.value)


def test_files_of_requirements_are_read_where_an_executor_is_made(tmp_path: Path) -> None:
    (tmp_path / "base.txt").write_text("scipy\n-c limits.txt\n--only-binary :all:\n")
    (tmp_path / "limits.txt").write_text("pytz<2025\n")
    given = {"requirements": ["Numpy", "-r base.txt"], "constraints": ["six<2"]}
    options = Options.check(given, folder=tmp_path)
    assert options.requirements == ["--only-binary :all:", "numpy", "scipy"]
    assert options.constraints == ["six<2", "pytz<2025"]
    # What Covalent stores of it needs no file any more.
    assert Options.check(json.loads(options.model_dump_json())) == options
    assert options.wanted().constraints == ("pytz<2025", "six<2")
    with pytest.raises(RequirementError, match="names a file that the dispatcher does not have"):
        Options.check(given)


def test_requirements_without_files_stay_as_they_are_written(tmp_path: Path) -> None:
    assert Options.check({"requirements": ["Numpy"]}, folder=tmp_path).requirements == ["Numpy"]


def test_an_option_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match="option memory=1024"):
        Options.check({"memory": 1024})


def test_options_cannot_be_changed_afterwards() -> None:
    options: Any = Options.check({})
    with pytest.raises(ValueError, match="frozen"):
        options.timeout = 5


@pytest.mark.parametrize(
    "role",
    [
        "R",
        "My_Role+=,.@-1",
        "arn:aws:iam::123456789012:role/Role",
        "arn:aws-us-gov:iam::123456789012:role/service-role/deep/Role",
    ],
)
def test_a_role_is_a_name_or_an_arn(role: str) -> None:
    assert Options.check({"lambda_role_name": role}).lambda_role_name == role


@pytest.mark.parametrize("login", ["me:hunter2", "hunter2", "me:hunt/er2", "me:hunt@er2"])
def test_a_login_before_an_image_is_refused_and_not_shown(login: str) -> None:
    with pytest.raises(ConfigurationError, match=r"without a login") as caught:
        Options.check({"base_image": f"{login}@registry.example.com/python:3.11"})
    assert "hunt" not in str(caught.value)
