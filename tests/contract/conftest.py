"""The sides of a contract: the fake, and the real adapter against two emulators of AWS."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from covalent_lambda_container.account import steps as account
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.options.schema import Options
from tests.moto import moto_account

SIDES = ["fake", pytest.param("real", marks=pytest.mark.docker)]
AWS_SIDES = [*SIDES, "moto"]
"""Also moto, which checks what the local stack's emulator does not."""


class RealSide(NamedTuple):
    """An account that real adapters use, with its bucket, repository and role."""

    clients: AwsClients
    bucket: str
    repository: str
    role_name: str


def real_side(request: pytest.FixtureRequest) -> RealSide:
    """Return the account that a fixture's parameter names: the local stack's, or moto's."""
    found: RealSide = request.getfixturevalue(
        "moto_side" if request.param == "moto" else "stack_side"
    )
    return found


@pytest.fixture(scope="session")
def stack_side(stack: Any) -> RealSide:
    return _side(stack)


@pytest.fixture(scope="session")
def moto_side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSide]:
    with moto_account(tmp_path_factory.mktemp("moto")) as moto:
        side = _side(moto)
        options = Options(
            s3_bucket_name=side.bucket,
            ecr_repository=side.repository,
            lambda_role_name=side.role_name,
        )
        wanted = account.resources(side.clients, account.deployment(side.clients, options))
        account.apply(account.plan_bootstrap(wanted), lambda _: None)
        yield side


def _side(where: Any) -> RealSide:
    target = AwsTarget(
        credentials_file=str(where.credentials_file),
        profile=where.owner_profile,
        region=where.region,
        endpoint_url=where.endpoint_url,
    )
    return RealSide(AwsClients(target), where.bucket, where.repository, where.role_name)
