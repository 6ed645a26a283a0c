"""The contract of every Functions."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference
from covalent_lambda_container.ports.functions import ACTIVE, PENDING, FunctionMissing, Functions
from tests.contract.conftest import AWS_SIDES, real_side
from tests.fakes import FakeFunctions
from tests.fakes.examples import function_spec


@pytest.fixture(params=AWS_SIDES)
def side(request: pytest.FixtureRequest) -> Iterator[tuple[Functions, FunctionSpec]]:
    """Functions, and the spec of one that does not exist yet."""
    tags = (("test", uuid.uuid4().hex),)
    if request.param == "fake":
        yield FakeFunctions(), function_spec(tags=tags)
        return
    account = real_side(request)
    functions = LambdaFunctions(account.clients)
    uri = EcrRegistry(account.clients, account.repository).ensure_repository()
    image = ImageReference(repository_uri=uri, digest=f"sha256:{'ab' * 32}")
    role_arn = functions.role_arn(account.role_name)
    spec = function_spec(tags=tags, image=image, role_arn=role_arn, memory_mb=128)
    yield functions, spec
    functions.delete(spec.name)


Side = tuple[Functions, FunctionSpec]


def test_a_function_that_was_not_made_does_not_exist(side: Side) -> None:
    functions, spec = side
    assert functions.find(spec.name) is None


def test_a_function_is_pending_or_active_until_it_was_waited_for(side: Side) -> None:
    functions, spec = side
    functions.create(spec)
    made: Any = functions.find(spec.name)
    assert made.state in (PENDING, ACTIVE)
    assert functions.wait_active(spec.name).state == ACTIVE
    found: Any = functions.find(spec.name)
    assert found.state == ACTIVE


def test_a_function_that_exists_is_left_as_it_is(side: Side) -> None:
    functions, spec = side
    functions.create(spec)
    functions.wait_active(spec.name)
    functions.create(spec)
    found: Any = functions.find(spec.name)
    assert found.state == ACTIVE


def test_a_deleted_function_is_gone_and_may_be_deleted_again(side: Side) -> None:
    functions, spec = side
    functions.create(spec)
    functions.wait_active(spec.name)
    functions.delete(spec.name)
    functions.delete(spec.name)
    assert functions.find(spec.name) is None


def test_a_function_that_does_not_exist_cannot_be_waited_for(side: Side) -> None:
    functions, spec = side
    with pytest.raises(FunctionMissing, match=spec.name):
        functions.wait_active(spec.name)


def test_functions_are_listed_with_their_image_and_our_tags(
    side: Side, request: pytest.FixtureRequest
) -> None:
    functions, spec = side
    if request.node.callspec.params["side"] == "moto":
        pytest.skip("moto gives every function an image of its own making")
    assert spec.name not in {record.name for record in functions.list_functions()}
    functions.create(spec)
    functions.wait_active(spec.name)
    (record,) = (found for found in functions.list_functions() if found.name == spec.name)
    assert record.image == spec.image.uri
    assert record.memory_mb == spec.memory_mb
    assert record.tags == dict(spec.tags) | {"made-by": "covalent-lambda-container"}
    assert abs(datetime.now(timezone.utc) - record.modified) < timedelta(minutes=1)
    functions.delete(spec.name)
    assert spec.name not in {record.name for record in functions.list_functions()}
