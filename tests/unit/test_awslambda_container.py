"""The executor as Covalent handles it: created, stored as JSON, created again."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from typing import Any

import covalent as ct
import pytest
from covalent._shared_files.config import get_config
from covalent.executor import _executor_manager

from covalent_lambda_container.awslambda_container import (
    _EXECUTOR_PLUGIN_DEFAULTS,
    AWSLambdaContainerExecutor,
)
from covalent_lambda_container.errors import ConfigurationError, RequirementError
from covalent_lambda_container.options.schema import Options

Executor: Any = AWSLambdaContainerExecutor

OTHER_VALUES = {
    "credentials_file": "/home/user/aws",
    "profile": "science",
    "region": "eu-central-1",
    "endpoint_url": "http://aws.example.com",
    "lambda_role_name": "OtherRole",
    "s3_bucket_name": "other-bucket",
    "ecr_repository": "other/repository",
    "cache_dir": "/var/cache/other",
    "poll_freq": 0.5,
    "isolate": "function",
    "timeout": 300,
    "memory_size": 2048,
    "max_memory_size": 4096,
    "ephemeral_storage": 1024,
    "cleanup": False,
    "base_image": "registry.example.com/python:3.11",
    "architecture": "arm64",
    "max_image_mb": 2048,
    "requirements": ["numpy==2.1"],
    "constraints": ["scipy<2"],
    "local_packages": [__file__],
    "force_rebuild": True,
    "bash_deps": "runtime",
    "builder": "registry",
    "environment": {"MODE": "fast"},
    "tags": {"team": "physics"},
    "subnet_ids": ["subnet-0a"],
    "security_group_ids": ["sg-0a"],
    "file_system": {
        "arn": "arn:aws:elasticfilesystem:eu-central-1:123456789012:access-point"
        "/fsap-0123456789abcdef0",
        "mount_path": "/mnt/data",
    },
    "kms_key_arn": "arn:aws:kms:eu-central-1:123456789012:key/0a",
    "reserved_concurrency": 5,
    "prewarm": 3,
    "usage_report": False,
    "live_output": False,
    "sublattice_executors": ["local"],
    "pip_index_url": "https://index.example.com/simple",
    "pip_extra_index_urls": ["https://extra.example.com/simple"],
    "ca_bundle": "/etc/ssl/ca.pem",
}
ARGUMENTS = [
    name
    for name, parameter in inspect.signature(Executor).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
]
FALSY = {
    "cleanup": False,
    "requirements": [],
    "constraints": [],
    "environment": {},
    "tags": {},
}


@pytest.fixture
def configuration(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The executor's section of Covalent's configuration; `set` changes it for one test."""
    section = get_config("executors.awslambda_container")

    class Configuration:
        def set(self, **values: Any) -> None:
            for name, value in values.items():
                monkeypatch.setitem(section, name, value)

    return Configuration()


def other(name: str) -> dict[str, Any]:
    """Return another value of an option, with those it cannot be without."""
    vpc = ("subnet_ids", "security_group_ids", "file_system")
    return {key: OTHER_VALUES[key] for key in (vpc if name in vpc else (name,))}


def options_of(executor: Any) -> dict[str, Any]:
    options: dict[str, Any] = executor.options().model_dump()
    return options


def test_without_arguments_every_option_has_its_default() -> None:
    assert options_of(Executor()) == Options.defaults() == _EXECUTOR_PLUGIN_DEFAULTS


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_an_argument_is_taken(name: str) -> None:
    assert options_of(Executor(**other(name))) == Options.defaults() | other(name)


def test_there_is_an_argument_for_every_option() -> None:
    arguments = set(ARGUMENTS)
    assert set(Options.model_fields) == set(OTHER_VALUES)
    assert arguments - set(OTHER_VALUES) == {
        *("credentials", "log_stdout", "log_stderr", "time_limit", "retries")
    }


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_documentation_names_every_argument_and_its_default(name: str) -> None:
    # Python 3.13 strips the indentation when it compiles.
    text = inspect.cleandoc(str(Executor.__doc__)) + "\n"
    documented = re.search(rf"^(?! ).*\b{name}\b.*\n((?: {{4}}.*\n)+)", text, re.M)
    assert documented
    default = Options.defaults().get(name)
    if default:
        assert str(default) in documented[1]


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_the_configuration_goes_before_the_default(configuration: Any, name: str) -> None:
    configuration.set(**other(name))
    assert options_of(Executor())[name] == OTHER_VALUES[name]


@pytest.mark.parametrize("name", OTHER_VALUES)
def test_an_argument_goes_before_the_configuration(configuration: Any, name: str) -> None:
    configuration.set(**OTHER_VALUES)
    default = {key: Options.defaults()[key] for key in other(name)}
    if name == "reserved_concurrency":
        default["prewarm"] = 0
    # An empty string is not a value.
    expected = OTHER_VALUES[name] if default[name] == "" else default[name]
    assert options_of(Executor(**default))[name] == expected


@pytest.mark.parametrize(
    ("name", "meant"),
    [("memory", "memory_size"), ("Region", "region"), ("base-image", "base_image")],
)
def test_an_unknown_argument_is_refused_with_the_nearest_name(name: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match="there is no such option") as caught:
        Executor(**{name: "hunter2"})
    assert f"option {name}: there" in str(caught.value)
    assert f"Did you mean {meant}" in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", FALSY)
def test_a_falsy_argument_is_an_argument(configuration: Any, name: str) -> None:
    configuration.set(**OTHER_VALUES | {"cleanup": True})
    assert options_of(Executor(**{name: FALSY[name]}))[name] == FALSY[name]


def test_a_falsy_value_of_the_configuration_goes_before_the_default(configuration: Any) -> None:
    configuration.set(cleanup=False)
    assert options_of(Executor())["cleanup"] is False


def test_a_configuration_without_the_section_means_defaults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(get_config("executors"), "awslambda_container")
    assert options_of(Executor()) == Options.defaults()


@pytest.mark.parametrize("value", [0, ""])
def test_a_falsy_argument_that_is_wrong_is_refused(configuration: Any, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"option timeout={value!r}"):
        Executor(timeout=value)


def test_a_wrong_value_of_the_configuration_is_refused_by_name(configuration: Any) -> None:
    configuration.set(memory_size="lots")
    with pytest.raises(ConfigurationError, match="option memory_size='lots'"):
        Executor()


def test_a_wrong_requirement_is_refused_where_it_is_written() -> None:
    with pytest.raises(RequirementError, match="'not a requirement'"):
        Executor(requirements=["not a requirement"])


def test_credentials_is_another_name_of_credentials_file(configuration: Any) -> None:
    assert options_of(Executor(credentials="/aws"))["credentials_file"] == "/aws"
    assert Executor(credentials="/aws", credentials_file="/aws").credentials_file == "/aws"
    configuration.set(credentials_file="/configured")
    assert options_of(Executor(credentials="/aws"))["credentials_file"] == "/aws"


def test_credentials_of_the_configuration_hold_where_it_names_no_other_file(
    configuration: Any,
) -> None:
    configuration.set(credentials="/older", credentials_file="")
    assert Executor().credentials_file == "/older"
    configuration.set(credentials_file="/newer")
    assert Executor().credentials_file == "/newer"


def test_two_different_credentials_files_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'/one' and credentials='/other' differ"):
        Executor(credentials_file="/one", credentials="/other")


@pytest.mark.parametrize("retries", [-1, -100, 1.5, "2", True])
def test_retries_are_a_whole_number(retries: Any) -> None:
    with pytest.raises(ConfigurationError, match=rf"option retries={retries!r}: .*0 or more"):
        Executor(retries=retries)


def test_an_empty_alias_takes_nothing_away() -> None:
    assert Executor(credentials_file="/one", credentials="").credentials_file == "/one"


def test_positional_arguments_keep_the_order_that_covalents_users_know() -> None:
    executor = Executor(
        "/aws", "profile", "eu-west-1", "role", "bucket", "/cache", 1.5, 30, 256, False
    )
    given = ["credentials_file", "profile", "region", "lambda_role_name", "s3_bucket_name"]
    given += ["cache_dir", "poll_freq", "timeout", "memory_size", "cleanup"]
    values = [executor.__dict__[name] for name in given]
    assert values == [
        "/aws",
        "profile",
        "eu-west-1",
        "role",
        "bucket",
        "/cache",
        1.5,
        30,
        256,
        False,
    ]


def test_everything_an_executor_holds_is_json() -> None:
    executor = Executor(**OTHER_VALUES, log_stdout="out", log_stderr="err", time_limit=9, retries=2)
    assert json.loads(json.dumps(executor.__dict__)) == executor.__dict__
    assert executor.__dict__.items() >= (
        OTHER_VALUES | {"log_stdout": "out", "log_stderr": "err", "time_limit": 9, "retries": 2}
    ).items()  # fmt: skip


def test_covalent_stores_an_executor_and_makes_an_equal_one() -> None:
    executor = Executor(**OTHER_VALUES)
    stored = json.loads(json.dumps(executor.to_dict()))
    again = _executor_manager.get_executor(stored["short_name"])
    again.from_dict(stored)
    assert type(again) is Executor
    assert again.__dict__ == executor.__dict__
    assert options_of(again) == OTHER_VALUES


def test_the_options_of_many_tasks_are_checked_once() -> None:
    one, same, other = (Executor(tags={"team": team}) for team in "AAB")
    assert one.options() is same.options() is not other.options()
    same.memory_size = 2048
    assert same.options().memory_size == 2048 != one.options().memory_size


def test_an_executor_that_an_older_release_stored_has_the_defaults_of_newer_options() -> None:
    executor = Executor(memory_size=2048)
    del executor.__dict__["usage_report"]
    assert options_of(executor) == Options.defaults() | {"memory_size": 2048}


# Covalent, with the networkx of Python 3.10.
@pytest.mark.filterwarnings(r"ignore:\s*The default value will be .edges=:FutureWarning")
def test_an_electron_carries_its_executor_into_the_graph() -> None:
    def body() -> None: ...

    electron: Any = ct.electron(body, executor=Executor(memory_size=2048))
    workflow: Any = ct.lattice(lambda: electron())
    workflow.build_graph()
    (node,) = [
        node
        for node in json.loads(workflow.transport_graph.serialize_to_json())["nodes"]
        if node["name"] == "body"
    ]
    assert node["metadata"]["executor"] == "awslambda_container"
    assert node["metadata"]["executor_data"]["attributes"]["memory_size"] == 2048


def test_two_executors_share_no_list() -> None:
    one, other = Executor(), Executor()
    one.requirements.append("numpy")
    assert other.requirements == _EXECUTOR_PLUGIN_DEFAULTS["requirements"] == []


def test_run_refuses_calls_that_covalent_does_not_make() -> None:
    metadata = {"dispatch_id": "dispatch", "node_id": 0}
    with pytest.raises(
        TypeError, match="expects the callable that Covalent's dispatcher assembles"
    ):
        asyncio.run(Executor().run(print, [], {}, metadata))


def test_printed_it_shows_the_options_that_differ_from_their_defaults() -> None:
    assert str(Executor()) == "AWSLambdaContainerExecutor()"
    executor = Executor(memory_size=1024, requirements=["numpy==2.1"], region="eu-central-1")
    shown = "(region='eu-central-1', memory_size=1024, requirements=['numpy==2.1'])"
    assert str(executor) == repr(executor) == f"AWSLambdaContainerExecutor{shown}"
    assert str(Executor(retries=2)) == "AWSLambdaContainerExecutor(retries=2)"
    again = Executor().from_dict(executor.to_dict())
    assert str(again) == str(executor)


def test_printed_it_shows_no_values_of_environment_variables() -> None:
    shown = str(Executor(environment={"TOKEN": "s3cret", "MODE": "fast"}))
    assert shown == "AWSLambdaContainerExecutor(environment={'TOKEN': …, 'MODE': …})"


def test_printed_it_is_short_and_shows_no_password() -> None:
    executor = Executor(requirements=[f"package-{number}" for number in range(100)])
    assert len(str(executor)) < 200
    # Covalent's store may contain anything.
    vars(executor)["base_image"] = "https://me:s3cret@registry.example.com/image"
    assert "s3cret" not in str(executor)
