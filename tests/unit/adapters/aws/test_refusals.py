"""Advice for AWS's refusals: first a name, then a permission and the policy that has it."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from covalent_lambda_container.adapters.aws.aws_errors import cause_of, explained
from covalent_lambda_container.adapters.aws.refusals import (
    action_of,
    permission_advice,
    policy_with,
)
from covalent_lambda_container.errors import ConfigurationError, LambdaContainerError


def refusal(operation: str, code: str = "AccessDenied") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "not authorized"}}, operation)


def error(raised: Exception) -> LambdaContainerError:
    with pytest.raises(LambdaContainerError) as caught, explained("look for", "it"):
        raise raised
    return caught.value


@pytest.mark.parametrize(
    ("operation", "option"),
    [
        ("GetRole", "lambda_role_name"),
        ("HeadBucket", "s3_bucket_name"),
        ("PutObject", "s3_bucket_name"),
        ("DescribeRepositories", "ecr_repository"),
    ],
)
def test_a_name_is_asked_about_before_a_permission(operation: str, option: str) -> None:
    hint = str(error(refusal(operation)).hint)
    assert hint.startswith(f"Check the option {option}:")
    assert hint.index("is correct") < hint.index("allow ")


@pytest.mark.parametrize(
    ("operation", "action", "policy"),
    [
        ("CreateFunction", "lambda:CreateFunction", "dispatcher"),
        ("Invoke", "lambda:InvokeFunction", "dispatcher"),
        ("HeadBucket", "s3:ListBucket", "dispatcher"),
        ("DeleteFunction", "lambda:DeleteFunction", "dispatcher"),
        ("ListFunctions", "lambda:ListFunctions", "operator"),
        ("FilterLogEvents", "logs:FilterLogEvents", "operator"),
        ("CreateBucket", "s3:CreateBucket", "bootstrap"),
        ("CreateRole", "iam:CreateRole", "bootstrap"),
    ],
)
def test_the_policy_to_print_is_named(operation: str, action: str, policy: str) -> None:
    assert (action_of(operation), policy_with(action)) == (action, policy)
    hint = str(error(refusal(operation)).hint)
    assert f"llow {action} to this identity: 'covalent-lambda policy {policy}' prints" in hint
    # Its profile is in Covalent's configuration, and commands of people use it, too.
    assert ("option profile" in hint) is (policy != "dispatcher")


def test_an_action_of_no_policy_is_named_all_the_same() -> None:
    assert "Allow Fly to this identity" in str(error(refusal("Fly")).hint)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://lambda.eu-centrl-1.amazonaws.com/", "Did you mean eu-central-1?"),
        ("https://b.s3.us-eastt-1.amazonaws.com/", "Did you mean us-east-1?"),
        ("https://api.ecr.eu-central-1.amazonaws.com/", "Check the option endpoint_url"),
        ("http://localhost:4566/", "covalent-lambda local up --port 4566"),
        ("http://127.0.0.1:9", "covalent-lambda local up --port 9"),
        ("http://localhost:9/", "check the option endpoint_url"),
    ],
)
def test_a_misspelt_region_is_asked_about(url: str, said: str) -> None:
    assert said in str(error(EndpointConnectionError(endpoint_url=url)).hint)


def test_errors_with_one_cause_have_the_same_one() -> None:
    missing = [error(NoCredentialsError()), error(NoCredentialsError())]
    assert cause_of(missing[0]) == cause_of(missing[1])
    one, other = error(refusal("GetRole")), error(refusal("HeadBucket", "404"))
    assert cause_of(one) != cause_of(other)
    expired = [error(refusal(name, "ExpiredToken")) for name in ("GetRole", "HeadBucket")]
    assert cause_of(expired[0]) == cause_of(expired[1])
    assert isinstance(expired[0], ConfigurationError)


def test_the_permission_that_aws_names_is_the_one_to_allow() -> None:
    def advice(message: str) -> str:
        error = {"Error": {"Code": "AccessDeniedException", "Message": message}}
        return permission_advice(ClientError(error, "GetFunction"))

    refused = "User: arn:aws:iam::1:user/a is not authorized to perform: {} on resource: x"
    assert advice(refused.format("lambda:ListTags")).startswith("Allow lambda:ListTags to")
    assert advice("no").startswith("Allow lambda:GetFunction to")
