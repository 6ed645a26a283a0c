"""AWS: whose account is used, and its errors in our words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
)

from covalent_lambda_container.aws import (
    AwsClients,
    AwsTarget,
    clients_for,
    error_code,
    error_message,
    explained,
)
from covalent_lambda_container.errors import (
    ConfigurationError,
    LambdaContainerError,
    ProvisionError,
    RegistryError,
)


def aws_says(code: str, message: str = "the reason", operation: str = "CreateFunction") -> Any:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def told(error: Exception) -> LambdaContainerError:
    with (
        pytest.raises(LambdaContainerError) as caught,
        explained("create it", "it", ProvisionError),
    ):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


# -- errors ---------------------------------------------------------------------------------------


def test_an_error_names_operation_object_code_and_reason() -> None:
    error = told(aws_says("InvalidParameterValueException"))
    assert type(error) is ProvisionError
    text = "create it 'it': AWS answered InvalidParameterValueException: the reason"
    assert str(error) == text
    assert error.hint is None


@pytest.mark.parametrize(
    "code",
    [
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    ],
)
def test_refused_credentials_are_a_matter_of_configuration(code: str) -> None:
    error = told(aws_says(code))
    assert type(error) is ConfigurationError
    assert f"create it 'it' answered {code}: the reason" in str(error)
    assert "credentials_file, profile and region" in str(error)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
def test_a_denial_names_the_action_to_allow(code: str) -> None:
    error = told(aws_says(code))
    assert type(error) is ProvisionError
    assert "Allow the action CreateFunction" in str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "Unable to locate credentials"),
        (PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"), "env"),
        (ProfileNotFound(profile="science"), "science"),
        (NoRegionError(), "Set the option region"),
        (EndpointConnectionError(endpoint_url="https://aws.example.com"), "option endpoint_url"),
    ],
)
def test_what_boto3_misses_is_a_matter_of_configuration(error: Exception, said: str) -> None:
    ours = told(error)
    assert type(ours) is ConfigurationError
    assert "create it 'it': " in str(ours)
    assert said in str(ours)


@pytest.mark.parametrize(
    "error", [HTTPClientError(error="broken pipe"), ParamValidationError(report="broken pipe")]
)
def test_other_errors_of_boto3_keep_their_words(error: Exception) -> None:
    ours = told(error)
    assert type(ours) is ProvisionError
    assert "broken pipe" in str(ours)


def test_our_own_errors_and_foreign_ones_pass_through() -> None:
    for error in (RegistryError("ours"), ValueError("foreign")):
        with pytest.raises(type(error)) as caught, explained("create it", "it", ProvisionError):
            raise error
        assert caught.value is error


def test_an_answer_without_an_error_has_empty_words() -> None:
    error = ClientError({}, "CreateFunction")
    assert (error_code(error), error_message(error)) == ("", "")
    assert "AWS answered : " in str(told(error))


# -- whose account --------------------------------------------------------------------------------


@pytest.fixture
def credentials_file(tmp_path: Path) -> str:
    path = tmp_path / "credentials"
    path.write_text(
        "[default]\naws_access_key_id=AKIDEFAULT\naws_secret_access_key=secret\n"
        "[science]\naws_access_key_id=AKISCIENCE\naws_secret_access_key=secret\n"
    )
    return str(path)


def test_equal_targets_share_their_clients() -> None:
    targets = [AwsTarget(region="eu-central-1"), AwsTarget(region="eu-central-1")]
    assert clients_for(targets[0]) is clients_for(targets[1])
    assert clients_for(targets[0]) is not clients_for(AwsTarget(region="eu-west-1"))


def test_credentials_profile_region_and_endpoint_are_taken(credentials_file: str) -> None:
    target = AwsTarget(
        credentials_file=credentials_file,
        profile="science",
        region="eu-central-1",
        endpoint_url="http://aws.example.com:4566",
    )
    client: Any = AwsClients(target).iam
    assert client._request_signer._credentials.access_key == "AKISCIENCE"
    assert AwsClients(target).registry_host == "aws.example.com:4566"


def test_the_environment_is_taken_where_nothing_is_given(
    credentials_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", credentials_file)
    monkeypatch.setenv("AWS_PROFILE", "science")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")
    clients = AwsClients(AwsTarget())
    ecr: Any = clients.ecr
    assert ecr._request_signer._credentials.access_key == "AKISCIENCE"
    assert ecr.meta.region_name == "eu-west-1"
    assert clients.registry_host == "localhost:4566"


@pytest.mark.parametrize("region", ["eu-central-1", "cn-north-1"])
def test_aws_names_its_registry_itself(credentials_file: str, region: str) -> None:
    target = AwsTarget(credentials_file=credentials_file, region=region)
    assert AwsClients(target).registry_host is None


def test_a_credentials_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    target = AwsTarget(credentials_file=str(tmp_path / "nowhere"))
    with pytest.raises(
        ConfigurationError, match=r"option credentials_file='.*nowhere': there is no"
    ):
        AwsClients(target)


def test_a_profile_that_is_not_there_is_named(credentials_file: str) -> None:
    with pytest.raises(ConfigurationError, match="other"):
        AwsClients(AwsTarget(credentials_file=credentials_file, profile="other"))


def test_a_missing_region_is_told_with_the_option_to_set(credentials_file: str) -> None:
    with pytest.raises(ConfigurationError, match="Set the option region"):
        _ = AwsClients(AwsTarget(credentials_file=credentials_file)).ecr
