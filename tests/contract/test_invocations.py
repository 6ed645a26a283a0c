"""The contract of every Invocations, apart from running a task."""

from __future__ import annotations

import asyncio

import pytest

from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.ports.functions import FunctionMissing, Invocations
from tests.contract.conftest import SIDES, real_side
from tests.fakes import FakeFunctions


@pytest.fixture(params=SIDES)
def side(request: pytest.FixtureRequest) -> Invocations:
    if request.param == "fake":
        return FakeFunctions()
    return LambdaInvocations(real_side(request).clients)


def test_a_function_that_does_not_exist_cannot_be_invoked(side: Invocations) -> None:
    with pytest.raises(FunctionMissing):
        asyncio.run(side.invoke("covalent-not-there", b"{}", timeout_s=3))
