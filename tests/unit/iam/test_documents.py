"""The IAM documents: no more than is needed, in the account's own names."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from covalent_lambda_container.iam import administration, documents, running
from covalent_lambda_container.iam.documents import Deployment, Document

NAMES = Deployment(
    account="123456789012",
    region="eu-west-1",
    bucket="jobs",
    repository="team/images",
    role="Runs",
)
EVERYTHING = [
    running.dispatcher(NAMES, reserves_concurrency=True, vpc=True),
    running.dispatcher(NAMES, builds=False),
    running.ci(NAMES, vpc=True),
    running.execution_role(NAMES, vpc=True),
    administration.operator(NAMES),
    administration.bootstrap(NAMES),
]
IDS = ["dispatcher", "dispatcher without builds", "ci", "execution role", "operator", "bootstrap"]
INLINE_LIMIT = 2048
"""Characters of a user's inline policies without white space ("IAM and AWS STS quotas", read
2026-11)."""


def statement(document: Document, action: str) -> Any:
    (found,) = [stated for stated in document["Statement"] if action in stated["Action"]]
    return found


@pytest.mark.parametrize("document", EVERYTHING, ids=IDS)
def test_every_action_has_a_name_and_a_place_of_its_own(document: Document) -> None:
    listed = [action for stated in document["Statement"] for action in stated["Action"]]
    assert len(listed) == len(set(listed))
    assert not any("*" in action for action in listed)
    assert len({stated["Sid"] for stated in document["Statement"]}) == len(document["Statement"])


@pytest.mark.parametrize("document", EVERYTHING, ids=IDS)
def test_only_actions_without_resources_are_allowed_everywhere(document: Document) -> None:
    for stated in document["Statement"]:
        if stated["Resource"] == "*":
            assert all(
                action in ("ecr:GetAuthorizationToken", "lambda:ListFunctions")
                or action.startswith("ec2:")
                for action in stated["Action"]
            )


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"])
def test_no_data_goes_to_the_bucket_of_another_account(action: str) -> None:
    stated = statement(running.dispatcher(NAMES), action)
    assert stated["Condition"] == {"StringEquals": {"aws:ResourceAccount": NAMES.account}}


@pytest.mark.parametrize("document", EVERYTHING, ids=IDS)
def test_a_policy_fits_inline(document: Document) -> None:
    assert len(json.dumps(document, separators=(",", ":"))) <= INLINE_LIMIT


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ecr:PutImage", "arn:aws:ecr:eu-west-1:123456789012:repository/team/images"),
        ("lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:123456789012:function:covalent-*"),
        ("iam:PassRole", "arn:aws:iam::123456789012:role/Runs"),
        ("s3:ListBucket", "arn:aws:s3:::jobs"),
        ("s3:PutObject", "arn:aws:s3:::jobs/covalent-lambda/*"),
    ],
)
def test_the_accounts_own_names_are_in_it(action: str, resource: str) -> None:
    assert statement(running.dispatcher(NAMES), action)["Resource"] == resource


def test_a_role_is_passed_to_lambda_only() -> None:
    passed = statement(running.dispatcher(NAMES), "iam:PassRole")
    assert passed["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_a_role_may_be_an_arn() -> None:
    arn = "arn:aws:iam::123456789012:role/team/Runs"
    document = running.dispatcher(replace(NAMES, role=arn))
    assert statement(document, "iam:PassRole")["Resource"] == arn


def test_other_partitions_have_other_names() -> None:
    document = running.dispatcher(replace(NAMES, partition="aws-cn", region="cn-north-1"))
    resources = [stated["Resource"] for stated in document["Statement"]]
    assert all(resource == "*" or resource.startswith("arn:aws-cn:") for resource in resources)


def test_unused_actions_are_not_allowed() -> None:
    allowed = documents.actions(running.dispatcher(NAMES))
    assert "lambda:PutFunctionConcurrency" not in allowed
    assert not [action for action in allowed if action.startswith("ec2:")]
    assert "ecr:PutImage" not in documents.actions(running.dispatcher(NAMES, builds=False))
    images_only = documents.actions(running.ci(NAMES, functions=False))
    assert all(action.startswith("ecr:") for action in images_only)


def test_functions_may_write_their_logs_and_nothing_else() -> None:
    (stated,) = running.execution_role(NAMES)["Statement"]
    assert {action.partition(":")[0] for action in stated["Action"]} == {"logs"}
    assert stated["Resource"].endswith(":log-group:/aws/lambda/covalent-*")


def test_an_action_is_taken_away() -> None:
    document = running.dispatcher(NAMES)
    less = documents.without(document, "s3:ListBucket")
    assert set(documents.actions(document)) - set(documents.actions(less)) == {"s3:ListBucket"}
    assert len(less["Statement"]) == len(document["Statement"]) - 1


@pytest.mark.parametrize(
    ("access_point", "file_system", "looks"),
    [
        (
            "arn:aws:elasticfilesystem:eu-west-1:123456789012:access-point/fsap-0a",
            "arn:aws:elasticfilesystem:eu-west-1:123456789012:file-system/*",
            "elasticfilesystem:DescribeMountTargets",
        ),
        (
            "arn:aws:s3files:eu-west-1:123456789012:file-system/fs-0a/access-point/fsap-0a",
            "arn:aws:s3files:eu-west-1:123456789012:file-system/fs-0a",
            "s3files:ListMountTargets",
        ),
    ],
)
def test_a_file_system_is_mounted_through_its_access_point_alone(
    access_point: str, file_system: str, looks: str
) -> None:
    service = looks.partition(":")[0]
    role = running.execution_role(NAMES, file_system=access_point)
    mounting = statement(role, f"{service}:ClientMount")
    assert f"{service}:ClientWrite" in mounting["Action"]
    assert mounting["Resource"] == file_system
    assert mounting["Condition"] == {"StringEquals": {f"{service}:AccessPointArn": access_point}}
    for document in (
        running.dispatcher(NAMES, file_system=access_point),
        running.ci(NAMES, file_system=access_point),
    ):
        assert statement(document, looks)["Resource"] == file_system
