"""The doctor's checks of an AWS account, with and without permissions."""

from __future__ import annotations

import pytest

from covalent_lambda_container.doctor.aws_account import AwsAccount
from covalent_lambda_container.doctor.examination import (
    Unknown,
)
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.executor.wiring import clients_of
from covalent_lambda_container.options.schema import Options
from tests.fakes.aws_http import FakeAwsHttp


def test_quotas_that_may_not_be_seen_are_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator lets everyone see them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    options = Options(region="us-east-1", endpoint_url="http://localhost:9")
    aws = FakeAwsHttp()
    with aws.behind(clients_of(options).functions):
        aws.error("AccessDeniedException", status=403)
        with pytest.raises(Unknown, match="lambda:GetAccountSettings"):
            AwsAccount(options).concurrency()


def test_a_repository_that_may_not_be_seen_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    options = Options(region="us-east-1", endpoint_url="http://localhost:9")
    aws = FakeAwsHttp()
    with aws.behind(clients_of(options).ecr):
        aws.error("AccessDeniedException")
        with pytest.raises(Unknown, match="ecr:DescribeRepositories"):
            AwsAccount(options).repository()
        aws.error("RepositoryNotFoundException")
        with pytest.raises(ConfigurationError, match="there is no repository"):
            AwsAccount(options).repository()
