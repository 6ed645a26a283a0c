"""Both sides of a contract: the fake, and the real adapter against the local stack."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget

SIDES = ["fake", pytest.param("real", marks=pytest.mark.docker)]


@pytest.fixture(scope="session")
def clients(stack: Any) -> AwsClients:
    return AwsClients(
        AwsTarget(
            credentials_file=str(stack.credentials_file),
            profile=stack.owner_profile,
            region=stack.region,
            endpoint_url=stack.endpoint_url,
        )
    )
