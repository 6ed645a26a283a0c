"""The lifecycle of an account through the command line, on an emulator with AWS's checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.errors import ConfigurationError
from tests.moto import MotoAccount, moto_account

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoAccount]:
    with moto_account(tmp_path_factory.mktemp("moto")) as account:
        yield account


@pytest.fixture
def covalent_lambda(moto: MotoAccount) -> Run:
    where = {
        "--credentials-file": str(moto.credentials_file),
        "--profile": moto.owner_profile,
        "--region": moto.region,
        "--endpoint-url": moto.endpoint_url,
    }
    names = {"--bucket": moto.bucket, "--repository": moto.repository, "--role": moto.role_name}

    def run(command: str, *arguments: str, named: bool = True) -> Result:
        flags = [word for pair in (where | (names if named else {})).items() for word in pair]
        return CliRunner().invoke(cli, [command, *flags, *arguments])

    return run


def document(result: Result) -> Any:
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def iam(moto: MotoAccount) -> Any:
    session = boto3.Session(
        aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="none", region_name=moto.region
    )
    return session.client("iam", endpoint_url=moto.endpoint_url)


def trust(iam: Any, moto: MotoAccount) -> Any:
    return iam.get_role(RoleName=moto.role_name)["Role"]["AssumeRolePolicyDocument"]


def test_a_fresh_account_is_set_up_twice_used_and_torn_down(
    covalent_lambda: Run, iam: Any, moto: MotoAccount
) -> None:
    first = document(covalent_lambda("bootstrap", "--json"))
    assert {step["action"] for step in first["steps"]} == {"create", "set"}
    second = document(covalent_lambda("bootstrap", "--json"))
    assert {step["action"] for step in second["steps"]} == {"keep"}
    assert len(trust(iam, moto)["Statement"]) == 1

    found = {each["name"]: each for each in json.loads(covalent_lambda("doctor", "--json").stdout)}
    for name in ("AWS credentials", "AWS region", "clock", "bucket", "repository"):
        assert found[name]["status"] == "ok", found[name]
    assert found["execution role"]["status"] == "ok"

    assert covalent_lambda("list", named=False).exit_code == 0
    assert covalent_lambda("gc", "--dry-run", named=False).exit_code == 0
    removed = document(covalent_lambda("teardown", "--yes", "--json"))
    assert {step["action"] for step in removed["steps"]} == {"delete"}
    again = document(covalent_lambda("teardown", "--yes", "--json"))
    assert {step["action"] for step in again["steps"]} == {"absent"}


def test_a_role_that_others_trust_gets_ours_beside_theirs_repeatedly(
    covalent_lambda: Run, iam: Any, moto: MotoAccount
) -> None:
    document(covalent_lambda("bootstrap", "--json"))
    theirs = {
        "Sid": "Theirs",
        "Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    # Ours has been spoilt by hand, under the same Sid.
    (ours,) = trust(iam, moto)["Statement"]
    spoilt = ours | {"Principal": {"Service": "ecs.amazonaws.com"}}
    iam.update_assume_role_policy(
        RoleName=moto.role_name,
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [theirs, spoilt]}),
    )
    for _ in range(2):
        document(covalent_lambda("bootstrap", "--json"))
        assert trust(iam, moto)["Statement"] == [theirs, ours]
    document(covalent_lambda("teardown", "--yes", "--force", "--json"))


def test_a_bucket_of_another_region_is_not_taken_for_the_functions_own(
    covalent_lambda: Run, moto: MotoAccount
) -> None:
    session = boto3.Session(
        aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="none", region_name="eu-west-3"
    )
    session.client("s3", endpoint_url=moto.endpoint_url).create_bucket(
        Bucket="elsewhere", CreateBucketConfiguration={"LocationConstraint": "eu-west-3"}
    )
    result = covalent_lambda("bootstrap", "--bucket", "elsewhere", "--plan")
    assert result.exit_code == ConfigurationError.exit_code
    assert "Bucket 'elsewhere' is in region eu-west-3, and the functions are in" in result.output
