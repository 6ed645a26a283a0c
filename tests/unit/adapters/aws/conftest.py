"""Fixtures of the tests in this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from tests.fakes.aws_server import FakeAwsServer
from tests.unit.adapters.aws.invoking import Answers, clients_of


@pytest.fixture(scope="module")
def server() -> Iterator[FakeAwsServer]:
    with FakeAwsServer() as server:
        yield server


@pytest.fixture
def aws(server: FakeAwsServer) -> Answers:
    server.answer = answers = Answers()
    return answers


@pytest.fixture(scope="module")
def invocations(
    server: FakeAwsServer, tmp_path_factory: pytest.TempPathFactory
) -> LambdaInvocations:
    return LambdaInvocations(clients_of(tmp_path_factory.mktemp("aws"), server.url))
