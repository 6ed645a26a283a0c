"""Options that concern functions: what is refused, and what is accepted at the limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.schema import Options
from tests.fakes.account_server import (
    ACCESS_POINT,
    KEY,
    MOUNT,
    VPC,
    Executor,
)

S3_FILES = (
    "arn:aws:s3files:eu-central-1:123456789012:file-system/fs-0123456789abcdef0"
    "/access-point/fsap-0123456789abcdef0"
)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("subnet_ids", ["subnet-0a", "vpc-1"], "'vpc-1': should be a subnet's ID"),
        ("subnet_ids", ["subnet-0A"], "should be a subnet's ID: subnet-"),
        ("subnet_ids", ["subnet-0a\n"], "should be a subnet's ID: subnet-"),
        ("subnet_ids", "subnet-0a", "list"),
        ("subnet_ids", [f"subnet-{n}" for n in range(17)], "at most 16"),
        ("security_group_ids", ["sg-0G"], "should be a security group's ID"),
        ("security_group_ids", [f"sg-{n}" for n in range(6)], "at most 5"),
        ("kms_key_arn", "alias/mine", "arn:aws"),
        ("kms_key_arn", KEY + "\n", "arn:aws"),
        ("reserved_concurrency", -1, "greater than or equal to 0"),
        ("reserved_concurrency", 1.5, "integer"),
        ("reserved_concurrency", True, "integer"),
        ("prewarm", -1, "greater than or equal to 0"),
        ("prewarm", 1001, "0 to 1000"),
        ("prewarm", "2", "integer"),
        ("usage_report", 1, "boolean"),
        ("usage_report", "no", "boolean"),
        (
            "tags",
            {str(n): "" for n in range(49)},
            "49 tags; AWS accepts at most 50, of which 2 are",
        ),
        ("tags", {"made-by": "x"}, "key 'made-by' is one of the executor's own"),
        ("tags", {"": "x"}, "key '' should have 1 to 128 characters"),
        ("tags", {"k" * 129: "x"}, "should have 1 to 128 characters"),
        ("tags", {"k": "v" * 257}, "the value of 'k' should have at most 256 characters"),
        ("tags", {"aws:cost": "x"}, "key 'aws:cost' begins with aws:"),
        ("tags", {"AWS:cost": "x"}, "key 'AWS:cost' begins with aws:"),
        ("tags", {"a,b": "x"}, "'a,b' should hold only letters, numbers, spaces and _.:/=+-@"),
        ("tags", {"k": "a\nb"}, "should hold only letters"),
    ],
)
def test_a_bad_value_is_refused_by_name_value_and_range(name: str, value: Any, said: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Executor(**{name: value})
    message = str(caught.value)
    assert message.startswith(f"AWSLambdaContainerExecutor option {name}=")
    assert said in message
    assert str(OPTIONS[name].option.description) in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"subnet_ids": ["subnet-0a"]}, "security_group_ids=[]: should be given together with"),
        ({"security_group_ids": ["sg-0f"]}, "security_group_ids=['sg-0f']: should be given toge"),
        ({"file_system": MOUNT}, "should be given together with subnet_ids"),
        ({"reserved_concurrency": 3, "prewarm": 4}, "prewarm=4: should be at most reserved_"),
    ],
)
def test_options_that_need_one_another_are_refused_alone(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Executor(**options)
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_an_absent_partner_option_is_named_with_the_given_one() -> None:
    with pytest.raises(ConfigurationError, match=r"security_group_ids=\[\]: should be given toge"):
        Options.check({"subnet_ids": ["subnet-0a"]})


def test_a_wrong_subnet_is_reported_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        Executor(**VPC | {"subnet_ids": ["vpc-1"], "file_system": MOUNT})
    (line,) = str(caught.value).splitlines()
    assert "option subnet_ids='vpc-1'" in line


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"arn": ACCESS_POINT[:-1]}, "arn should be an access point's, of EFS"),
        ({"arn": ACCESS_POINT + "0"}, "arn should be an access point's, of EFS"),
        ({"arn": ACCESS_POINT.replace("elasticfilesystem", "s3")}, "arn should be"),
        ({"arn": ACCESS_POINT + "\n"}, "arn should be"),
        ({"arn": S3_FILES.rpartition("/")[0]}, "of S3 Files"),
        ({"mount_path": "/mnt"}, "mount_path should be /mnt/ and a name"),
        ({"mount_path": "/mnt/"}, "mount_path should be"),
        ({"mount_path": "/mnt/a/b"}, "mount_path should be"),
        ({"mount_path": "/tmp/a"}, "mount_path should be"),
        ({"mount_path": "/mnt/a\n"}, "mount_path should be"),
        ({"mount_path": "/mnt/" + "a" * 156}, "at most 160 characters"),
        ({"read_only": "true"}, "should have the keys arn and mount_path, and no others"),
    ],
)
def test_a_bad_mount_is_refused_by_name_value_and_range(changes: Any, said: str) -> None:
    value = MOUNT | changes
    with pytest.raises(ConfigurationError) as caught:
        Executor(**VPC, file_system=value)
    assert f"option file_system={value!r}: " in str(caught.value)
    assert said in str(caught.value)


def test_an_environment_over_lambdas_limit_is_refused_without_its_values() -> None:
    # {"NAME":"…"} has eleven characters beside the value.
    assert Executor(environment={"NAME": "x" * 4085}).environment
    with pytest.raises(ConfigurationError) as caught:
        Executor(environment={"NAME": "x" * 4086})
    assert "environment: all variables together have 4097 bytes" in str(caught.value)
    assert "at most 4096" in str(caught.value)
    assert "xxx" not in str(caught.value)


def test_the_limit_of_the_environment_is_one_of_bytes() -> None:
    with pytest.raises(ConfigurationError, match="4099 bytes"):
        Executor(environment={"NAME": "ä" * 2044})


@pytest.mark.parametrize(
    "options",
    [
        {"subnet_ids": [f"subnet-{n}" for n in range(16)], "security_group_ids": ["sg-1"]},
        VPC | {"file_system": MOUNT},
        VPC | {"file_system": MOUNT | {"mount_path": "/mnt/" + "a" * 155}},
        VPC | {"file_system": MOUNT | {"arn": S3_FILES}},
        VPC
        | {
            "file_system": MOUNT
            | {"arn": ACCESS_POINT.replace("aws:", "aws-us-gov:").replace("eu-c", "us-gov-c")}
        },
        {"kms_key_arn": KEY.replace("key/", "key/mrk-")},
        {"kms_key_arn": KEY.replace("arn:aws:", "arn:aws-cn:")},
        {"reserved_concurrency": 1, "prewarm": 1},
        {"prewarm": 1000},
        {"tags": {str(n): "" for n in range(48)}},
        {"tags": {"k" * 128: "v" * 256, "Ärger / _.:=+-@ 1": "日本 ½"}},
        {"tags": {"team": "aws"}},
    ],
)
def test_values_at_the_limits_are_taken(options: dict[str, Any]) -> None:
    executor = Executor(**options)
    stored = json.loads(json.dumps(executor.to_dict()))
    again = Executor()
    again.from_dict(stored)
    assert again.options() == executor.options()
    assert {name: executor.__dict__[name] for name in options} == options
