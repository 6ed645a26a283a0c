"""Lambda's API: the meaning of each answer, and that a task is never sent twice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.errors import ConfigurationError, ProvisionError
from covalent_lambda_container.ports.functions import (
    ACTIVE,
    FAILED,
    INACTIVE,
    FunctionMissing,
    FunctionState,
    ImageMissing,
)
from tests.fakes import FakeClock
from tests.fakes.aws_http import FakeAwsHttp
from tests.fakes.examples import function_spec

URL = "https://aws.example.com"
SPEC = function_spec(environment=(("MODE", "fast"),), tags=(("team", "physics"),))
ROLE_NOT_READY = "The role defined for the function cannot be assumed by Lambda."


@pytest.fixture(scope="module")
def clients(credentials_file: str) -> AwsClients:
    target = AwsTarget(credentials_file=credentials_file, region="eu-central-1", endpoint_url=URL)
    return AwsClients(target)


@pytest.fixture
def aws(clients: AwsClients) -> Iterator[FakeAwsHttp]:
    answers = FakeAwsHttp()
    with answers.behind(clients.functions):
        yield answers


@pytest.fixture
def functions(clients: AwsClients, clock: FakeClock) -> LambdaFunctions:
    return LambdaFunctions(clients, sleep=clock.sleep, now=clock.now)


# -- create ---------------------------------------------------------------------------------------


def test_a_function_is_asked_for_as_its_spec_says(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.json({}, 201)
    functions.create(SPEC)
    ((_, request),) = aws.requests
    assert request.pop("Description")
    assert request == {
        "FunctionName": SPEC.name,
        "PackageType": "Image",
        "Code": {"ImageUri": SPEC.image.uri},
        "Role": SPEC.role_arn,
        "Architectures": ["x86_64"],
        "MemorySize": 512,
        "Timeout": 60,
        "EphemeralStorage": {"Size": 512},
        "Environment": {"Variables": {"MODE": "fast"}},
        "Tags": {"team": "physics", "made-by": "covalent-lambda-container"},
    }


def test_a_function_names_its_creator_and_has_the_same_name(
    aws: FakeAwsHttp, clients: AwsClients
) -> None:
    functions = LambdaFunctions(clients, creator=lambda: f"arn:aws:iam::1:user/me,too/{'x' * 300}")
    aws.json({}, 201)
    functions.create(SPEC)
    ((_, request),) = aws.requests
    tag = request["Tags"]["made-by-identity"]
    assert tag.startswith("arn:aws:iam::1:user/me_too/xxx")
    assert len(tag) == 256, "as Lambda takes it"
    assert request["FunctionName"] == SPEC.name


def test_a_function_that_exists_is_left_as_it_is(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.error("ResourceConflictException", "Function already exist", 409)
    functions.create(SPEC)
    assert aws.operations == ["CreateFunction"]


def test_a_new_role_is_waited_for(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    for _ in range(5):
        aws.error("InvalidParameterValueException", ROLE_NOT_READY)
    aws.json({}, 201)
    functions.create(SPEC)
    assert len(aws.requests) == 6
    assert clock.sleeps == sorted(clock.sleeps)


def test_a_role_that_never_becomes_ready_is_an_error(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    for _ in range(100):
        aws.error("InvalidParameterValueException", ROLE_NOT_READY)
    with pytest.raises(ProvisionError, match="cannot be assumed by Lambda"):
        functions.create(SPEC)
    assert 75 < clock.now() < 100


def test_another_refusal_is_not_retried(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    aws.error("InvalidParameterValueException", "The architecture does not match the image.")
    with pytest.raises(ProvisionError, match=rf"not create function '{SPEC.name}': .*architecture"):
        functions.create(SPEC)
    assert clock.sleeps == []


def test_a_removed_image_has_a_specific_error(functions: LambdaFunctions, aws: FakeAwsHttp) -> None:
    said = f"Source image {SPEC.image.uri} does not exist. Provide a valid source image."
    aws.error("InvalidParameterValueException", said)
    with pytest.raises(ImageMissing, match=rf"{SPEC.image.uri} is not in ECR(.|\n)*is rebuilt"):
        functions.create(SPEC)


# -- find, wait, delete ---------------------------------------------------------------------------


def configured(**configuration: Any) -> dict[str, Any]:
    return {"Configuration": configuration}


def test_a_state_comes_with_its_reason(functions: LambdaFunctions, aws: FakeAwsHttp) -> None:
    aws.json(configured(State="Inactive", StateReason="idle"))
    assert functions.find("name") == FunctionState(state=INACTIVE, reason="idle")


def test_a_function_without_a_state_is_active(functions: LambdaFunctions, aws: FakeAwsHttp) -> None:
    aws.json(configured(FunctionName="name"))
    assert functions.find("name") == FunctionState(state=ACTIVE)


def test_only_not_found_means_absent(functions: LambdaFunctions, aws: FakeAwsHttp) -> None:
    aws.error("ResourceNotFoundException", status=404)
    assert functions.find("name") is None
    aws.error("AccessDeniedException", status=403)
    with pytest.raises(ProvisionError, match=r"AccessDenied(.|\n)*Allow lambda:GetFunction to"):
        functions.find("name")


def test_a_function_that_is_pending_is_waited_for(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    for _ in range(3):
        aws.json(configured(State="Pending"))
    aws.json(configured(State="Failed", StateReason="image was deleted"))
    # A state and no error.
    assert functions.wait_active("name") == FunctionState(state=FAILED, reason="image was deleted")
    assert clock.sleeps == sorted(clock.sleeps)
    assert len(clock.sleeps) == 3
    assert set(aws.operations) == {"GetFunction"}, "not the control plane's 15 requests a second"


def test_a_function_that_stays_pending_is_an_error(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    for _ in range(400):
        aws.json(configured(State="Pending"))
    with pytest.raises(ProvisionError, match=r"name is still Pending after 600 s"):
        functions.wait_active("name")
    assert 600 < sum(clock.sleeps) < 605


def test_deleting_an_absent_function_is_not_an_error(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.error("ResourceNotFoundException", status=404)
    functions.delete("name")
    assert aws.operations == ["DeleteFunction"]


def test_a_function_that_may_not_be_deleted_is_an_error(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.error("AccessDeniedException", status=403)
    with pytest.raises(ProvisionError, match="delete function 'name'"):
        functions.delete("name")


def test_an_arn_of_a_role_is_not_changed(functions: LambdaFunctions) -> None:
    assert functions.role_arn(SPEC.role_arn) == SPEC.role_arn


def test_a_configuration_error_is_not_hidden(functions: LambdaFunctions, aws: FakeAwsHttp) -> None:
    aws.error("RequestExpired", status=403)
    with pytest.raises(ConfigurationError, match="AWS refused the time of the request"):
        functions.create(SPEC)


# -- reserved concurrency -------------------------------------------------------------------------


def test_an_existing_reservation_is_not_changed(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.json({"Concurrency": {"ReservedConcurrentExecutions": 7}})
    functions.reserve("name", 7)
    assert aws.operations == ["GetFunction"]


def test_another_change_of_the_function_is_waited_for(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    aws.json({})
    aws.error("ResourceConflictException", status=409)
    aws.json({"Concurrency": {"ReservedConcurrentExecutions": 6}})
    aws.json({"ReservedConcurrentExecutions": 7})
    functions.reserve("name", 7)
    assert aws.operations == ["GetFunction", "PutFunctionConcurrency"] * 2
    assert len(clock.sleeps) == 1


def test_another_change_is_not_waited_for_without_end(
    functions: LambdaFunctions, aws: FakeAwsHttp, clock: FakeClock
) -> None:
    for _ in range(100):
        aws.error("ResourceConflictException", status=409)
    with pytest.raises(ProvisionError, match="ResourceConflictException"):
        functions.reserve("name", 7)
    assert 30 < clock.now() < 32


def test_a_reservation_that_lambda_refuses_is_an_error_with_its_reason(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.json({})
    aws.error("InvalidParameterValueException", "below its minimum value of [100]")
    with pytest.raises(ProvisionError, match=r"'name'.*below its minimum value of \[100\]"):
        functions.reserve("name", 7)


def test_no_reservation_for_a_function_that_is_gone(
    functions: LambdaFunctions, aws: FakeAwsHttp
) -> None:
    aws.error("ResourceNotFoundException", status=404)
    with pytest.raises(FunctionMissing):
        functions.reserve("name", 7)
