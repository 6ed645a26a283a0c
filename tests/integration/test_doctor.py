"""The doctor on the local stack, with each thing broken in turn."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.doctor.diagnosis import diagnose
from covalent_lambda_container.doctor.engine import Engine
from covalent_lambda_container.doctor.examination import OK, PROBLEM, Finding
from covalent_lambda_container.doctor.trial import Trial
from covalent_lambda_container.errors import ConfigurationError, ImageBuildError
from covalent_lambda_container.executor.wiring import (
    account_stores_for,
    local_build_stores_for,
    service_for,
)
from covalent_lambda_container.options.schema import Options

HEALTHY_HERE = {
    *("Docker engine", "base image", "AWS credentials", "AWS region", "clock"),
    *("bucket", "repository", "execution role", "concurrency", "configuration", "versions"),
}
"""All but Covalent's server, which does not run in these tests, and the room on this machine."""

Broken = Callable[..., Finding]


@pytest.fixture
def as_owner(options: dict[str, Any], stack: Any) -> dict[str, Any]:
    return options | {"profile": stack.owner_profile}


@pytest.fixture
def found(as_owner: dict[str, Any]) -> Callable[..., dict[str, Finding]]:
    """Examine with some options changed."""

    def examine(now: Callable[[], float] = time.time, **changed: Any) -> dict[str, Finding]:
        findings = diagnose(Options.check(as_owner | changed), timeout_s=20, now=now)
        return {finding.name: finding for finding in findings}

    return examine


@pytest.fixture
def only(found: Callable[..., dict[str, Finding]]) -> Broken:
    """Examine, and return the one finding that is a problem."""

    def examine(name: str, **changed: Any) -> Finding:
        findings = found(**changed)
        problems = {each for each in HEALTHY_HERE if findings[each].status == PROBLEM}
        assert problems == {name}, findings
        assert findings[name].remedy
        return findings[name]

    return examine


def test_all_is_well(found: Callable[..., dict[str, Finding]], stack: Any):
    findings = found()
    well = {name for name in findings if findings[name].status == OK}
    assert well - {"Docker disk"} == HEALTHY_HERE, findings
    assert "public access is blocked" in findings["bucket"].message
    assert "000000000000" in findings["AWS credentials"].message
    assert findings["AWS region"].message == f"us-east-1 at {stack.endpoint_url}"


def test_missing_permissions_to_look_are_not_a_problem(options: dict[str, Any]):
    findings = {each.name: each for each in diagnose(Options.check(options))}
    assert {findings[name].status for name in HEALTHY_HERE} == {OK}
    assert "objects can be written" in findings["bucket"].message
    assert "not allowed to see whether public access is blocked" in findings["bucket"].message


def test_no_docker_engine(
    found: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    findings = found()
    problems = {name for name in HEALTHY_HERE if findings[name].status == PROBLEM}
    assert problems == {"Docker engine", "base image"}
    assert findings["Docker disk"].status == PROBLEM
    assert "docker info" in findings["Docker engine"].remedy


def test_no_room_for_images(options: dict[str, Any], root_image: str):
    engine = Engine(Options.check(options), root_image, timeout_s=5, least_free_gb=1e9)
    with pytest.raises(ImageBuildError, match="GB are free in"):
        engine.disk()


def test_another_processor(found: Callable[..., dict[str, Finding]]):
    assert "emulation" in found(architecture="arm64")["Docker engine"].message


def test_no_such_base_image(only: Broken):
    finding = only("base image", base_image="localhost:9/no/such:image")
    assert "localhost:9/no/such:image" in finding.message


def test_wrong_credentials(found: Callable[..., dict[str, Finding]], tmp_path: Path, stack: Any):
    credentials = tmp_path / "credentials"
    credentials.write_text("[wrong]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = no\n")
    findings = found(credentials_file=str(credentials), profile="wrong")
    assert findings["AWS credentials"].status == PROBLEM
    assert "AWS refused the credentials" in findings["AWS credentials"].message
    # What does not need them is looked at all the same.
    assert findings["clock"].status == OK
    assert findings["Docker engine"].status == OK


def test_no_region(found: Callable[..., dict[str, Finding]], monkeypatch: pytest.MonkeyPatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    finding = found(region="")["AWS region"]
    assert finding.status == PROBLEM
    assert "region" in finding.remedy


@pytest.mark.parametrize(("minutes", "expected"), [(10, "ahead"), (-10, "behind")])
def test_a_wrong_clock(only: Broken, minutes: int, expected: str):
    finding = only("clock", now=lambda: time.time() + 60 * minutes)
    assert expected in finding.message
    assert "NTP" in finding.remedy


def test_no_bucket(only: Broken):
    assert "bootstrap" in only("bucket", s3_bucket_name="no-such-bucket-here").remedy


def test_a_bucket_that_is_not_private(only: Broken, aws: Any):
    name = f"open-{uuid.uuid4().hex}"
    aws("s3").create_bucket(Bucket=name)
    aws("s3").delete_public_access_block(Bucket=name)
    finding = only("bucket", s3_bucket_name=name)
    aws("s3").delete_bucket(Bucket=name)
    assert "wrong settings: public access is blocked" in finding.message


def test_a_bucket_that_cannot_be_written_to(only: Broken, aws: Any, stack: Any):
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:PutObject",
                "Resource": f"arn:aws:s3:::{stack.bucket}/*",
            }
        ],
    }
    aws("s3").put_bucket_policy(Bucket=stack.bucket, Policy=json.dumps(policy))
    try:
        finding = only("bucket")
    finally:
        aws("s3").delete_bucket_policy(Bucket=stack.bucket)
    assert "PutObject" in finding.remedy


def test_no_repository(only: Broken):
    assert "bootstrap" in only("repository", ecr_repository="no-such-repository").remedy


def test_a_repository_whose_tags_move(only: Broken, aws: Any):
    name = f"moving-{uuid.uuid4().hex}"
    aws("ecr").create_repository(repositoryName=name)
    finding = only("repository", ecr_repository=name)
    aws("ecr").delete_repository(repositoryName=name)
    assert "tags are immutable" in finding.message


def test_no_role(only: Broken):
    assert "bootstrap" in only("execution role", lambda_role_name="NoSuchRole").remedy


def test_a_role_that_lambda_may_not_take(only: Broken, aws: Any):
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    aws("iam").create_role(RoleName="ForEC2", AssumeRolePolicyDocument=json.dumps(trust))
    finding = only("execution role", lambda_role_name="ForEC2")
    aws("iam").delete_role(RoleName="ForEC2")
    assert "lambda.amazonaws.com" in finding.message


@pytest.mark.parametrize("option", ["reserved_concurrency", "prewarm"])
def test_a_quota_that_does_not_suffice(only: Broken, option: str, aws: Any):
    name = f"covalent-{uuid.uuid4().hex}"
    functions = aws("lambda")
    functions.create_function(
        FunctionName=name,
        PackageType="Image",
        Code={"ImageUri": "localhost/image"},
        Role="arn:aws:iam::000000000000:role/CovalentLambdaExecutionRole",
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=500)
    try:
        assert option in only("concurrency", **{option: 900}).message
    finally:
        functions.delete_function(FunctionName=name)


def test_no_covalent_server(found: Callable[..., dict[str, Finding]]):
    finding = found()["Covalent server"]
    assert finding.status == PROBLEM
    assert "covalent start" in finding.remedy


@pytest.fixture
def silence() -> Iterator[str]:
    """An endpoint that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_endpoint_that_says_nothing(as_owner: dict[str, Any], silence: str):
    given = Options.check(as_owner | {"endpoint_url": silence})
    findings = {each.name: each for each in diagnose(given, timeout_s=2)}
    for name in ("AWS credentials", "bucket", "repository", "execution role", "concurrency"):
        assert findings[name].message == "no answer within 2 s"
    assert findings["Docker engine"].status == OK
    assert findings["versions"].status == OK


def test_a_trial_runs_from_end_to_end_and_leaves_nothing_behind(
    options: dict[str, Any], stack: Any
) -> None:
    chosen = Options.check(options | {"profile": stack.owner_profile})
    account, local = account_stores_for(chosen), local_build_stores_for(chosen)
    functions = {record.name for record in account.functions.list_functions()}
    images = {record.digest for record in account.registry.list_images()}
    reported: list[str] = []
    steps = list(Trial(chosen, service_for, account, local).run(reported.append))
    assert [step.name for step in steps] == [
        *("image", "function", "small task", "large task, through S3", "removal")
    ]
    assert "creating the function" in reported
    assert {record.name for record in account.functions.list_functions()} == functions
    assert {record.digest for record in account.registry.list_images()} == images


def test_a_trial_that_fails_leaves_nothing_behind(options: dict[str, Any], stack: Any) -> None:
    chosen = Options.check(
        options | {"profile": stack.owner_profile, "lambda_role_name": "NoSuchRole"}
    )
    account, local = account_stores_for(chosen), local_build_stores_for(chosen)
    images = {record.digest for record in account.registry.list_images()}
    with pytest.raises(ConfigurationError, match="NoSuchRole"):
        list(Trial(chosen, service_for, account, local).run(lambda _: None))
    assert {record.digest for record in account.registry.list_images()} == images
