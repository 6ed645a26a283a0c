"""AWS: whose account is used, and its errors in our words."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from covalent_lambda_container.adapters.aws.aws_errors import (
    REFUSED_CREDENTIALS,
    error_code,
    error_message,
    explained,
)
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget, clients_for
from covalent_lambda_container.errors import (
    ConfigurationError,
    LambdaContainerError,
    ProvisionError,
    RegistryError,
)
from tests.fakes.aws_server import Answer, FakeAwsServer, Request


def aws_says(code: str, message: str = "the reason", operation: str = "CreateFunction") -> Any:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def explained_error(error: Exception) -> LambdaContainerError:
    with (
        pytest.raises(LambdaContainerError) as caught,
        explained("create it", "it", ProvisionError),
    ):
        raise error
    assert caught.value.__cause__ is error
    return caught.value


def test_an_unknown_profile_of_the_environment_is_not_called_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with pytest.raises(ConfigurationError) as caught:
        AwsClients(AwsTarget())
    assert "(nope) could not be found: could not open an AWS session." in str(caught.value)


# -- errors ---------------------------------------------------------------------------------------


def test_an_error_names_operation_object_code_and_reason() -> None:
    error = explained_error(aws_says("InvalidParameterValueException"))
    assert type(error) is ProvisionError
    text = "Could not create it 'it': AWS answered InvalidParameterValueException: the reason"
    assert str(error) == text
    assert error.hint is None


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and now is too large."),
        ("InvalidSignatureException", "Signature expired: 20261128T1 is now earlier than 2."),
        ("SignatureDoesNotMatch", "Signature not yet current: 20261128T1 is still later than 2."),
        ("RequestExpired", "Request has expired."),
    ],
)
def test_a_wrong_clock_is_not_blamed_on_the_credentials(code: str, message: str) -> None:
    error = explained_error(aws_says(code, message))
    assert type(error) is ConfigurationError
    assert error.message.startswith(f"AWS refused the time of the request ({code}: {message})")
    assert error.hint is not None
    assert "clock of the dispatcher's machine" in error.hint


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
    error = explained_error(aws_says(code))
    assert type(error) is ConfigurationError
    assert f"({code}: the reason): could not create it 'it'." in str(error)
    assert "credentials_file, profile and region" in str(error)


def test_an_operation_without_an_object_is_a_sentence_too() -> None:
    with (
        pytest.raises(ProvisionError, match=r"^Could not list the account's functions: AWS answer"),
        explained("list the account's functions", kind=ProvisionError),
    ):
        raise aws_says("ServiceException")


def test_a_message_that_ends_with_a_full_stop_keeps_one() -> None:
    error = explained_error(aws_says("ExpiredToken", "The token is invalid."))
    assert "The token is invalid)" in str(error)
    assert ".." not in str(error)


@pytest.mark.parametrize("code", ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
def test_a_denial_names_the_action_to_allow(code: str) -> None:
    error = explained_error(aws_says(code))
    assert type(error) is ProvisionError
    assert "Allow lambda:CreateFunction" in str(error)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "Unable to locate credentials"),
        (PartialCredentialsError(provider="env", cred_var="aws_secret_access_key"), "env"),
        (ProfileNotFound(profile="science"), "science"),
        (NoRegionError(), "Set the option region"),
        (UnauthorizedSSOTokenError(), "aws sso login"),
        (TokenRetrievalError(provider="sso", error_msg="expired"), "aws sso login"),
        (EndpointConnectionError(endpoint_url="https://aws.example.com"), "option endpoint_url"),
        (
            EndpointConnectionError(endpoint_url="https://aws.example.com/"),
            "Nothing answers at https://aws.example.com: could not",
        ),
    ],
)
def test_missing_settings_of_boto3_are_configuration_errors(error: Exception, said: str) -> None:
    ours = explained_error(error)
    assert type(ours) is ConfigurationError
    assert "could not create it 'it'." in str(ours)
    assert said in str(ours)


@pytest.mark.parametrize(
    "error", [HTTPClientError(error="broken pipe"), ParamValidationError(report="broken pipe")]
)
def test_other_errors_of_boto3_keep_their_words(error: Exception) -> None:
    ours = explained_error(error)
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
    assert "AWS answered : " in str(explained_error(error))


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


@pytest.mark.parametrize(
    ("region", "variant", "domain"),
    [
        ("eu-central-1", "", "amazonaws.com"),
        ("us-east-1", "AWS_USE_DUALSTACK_ENDPOINT", "amazonaws.com"),
        ("us-gov-west-1", "AWS_USE_FIPS_ENDPOINT", "amazonaws.com"),
        ("cn-north-1", "", "amazonaws.com.cn"),
        ("eusc-de-east-1", "", "amazonaws.eu"),
        ("us-iso-east-1", "", "c2s.ic.gov"),
    ],
)
def test_a_registry_is_where_its_partition_is_whatever_the_endpoint(
    credentials_file: str, monkeypatch: pytest.MonkeyPatch, region: str, variant: str, domain: str
) -> None:
    if variant:
        monkeypatch.setenv(variant, "true")
    clients = AwsClients(AwsTarget(credentials_file=credentials_file, region=region))
    assert clients.registry_host is None
    assert clients.registry_of("123456789012") == f"123456789012.dkr.ecr.{region}.{domain}"


class Source:
    """Of credentials that end soon; it has no newer ones, and takes a moment to say so."""

    def __init__(self, ends_in: timedelta = timedelta(minutes=8)) -> None:
        self._ends = datetime.now(timezone.utc) + ends_in
        self.asked: list[threading.Thread] = []

    def __call__(self) -> dict[str, str]:
        self.asked.append(threading.current_thread())
        time.sleep(0.05)
        named = {"access_key": "AKI", "secret_key": "secret", "token": "token"}
        return named | {"expiry_time": self._ends.isoformat()}

    def session(self) -> boto3.Session:
        core = botocore.session.Session()
        core._credentials = RefreshableCredentials.create_from_metadata(
            metadata=self(), refresh_using=self, method="test"
        )
        self.asked.clear()
        return boto3.Session(botocore_session=core, region_name="eu-central-1")


@pytest.mark.parametrize("minutes", [8, 12])
def test_credentials_about_to_end_are_renewed_once_for_a_thousand_tasks(minutes: int) -> None:
    source = Source(timedelta(minutes=minutes))
    clients = AwsClients(AwsTarget(), source.session())

    async def task() -> None:
        await clients.renew_credentials()
        assert clients.frozen_credentials().access_key == "AKI"

    async def tasks() -> None:
        await asyncio.gather(*(task() for _ in range(1000)))

    asyncio.run(tasks())
    assert len(source.asked) == 1
    # Beside the event loop alone.
    assert threading.main_thread() not in source.asked


def test_credentials_about_to_end_are_renewed_once_for_all_requests_of_boto3() -> None:
    source = Source()
    with FakeAwsServer() as server:
        clients = AwsClients(AwsTarget(endpoint_url=server.url), source.session())
        server.answer = lambda _: (200, {}, b"")
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: clients.s3.head_bucket(Bucket="bucket"), range(40)))
    assert len(source.asked) == 1


def write_key(path: str | Path, key: str) -> None:
    Path(path).write_text(f"[default]\naws_access_key_id={key}\naws_secret_access_key=secret\n")


def clients_with_old_key(path: Path, server: FakeAwsServer) -> AwsClients:
    """Return clients whose file of credentials, which this writes, has the key AKIOLD."""
    write_key(path, "AKIOLD")
    target = AwsTarget(credentials_file=str(path), region="eu-west-1", endpoint_url=server.url)
    return AwsClients(target)


class Gatekeeper:
    """An AWS that knows one key."""

    def __init__(self, key: str, code: str = "UnrecognizedClientException") -> None:
        self.key, self.code = key, code
        self.requests: list[bool] = []

    def __call__(self, request: Request) -> Answer:
        is_known = f"Credential={self.key}/" in request.headers["Authorization"]
        self.requests.append(is_known)
        if is_known:
            return 200, {}, b"{}"
        if request.operation == "HeadBucket":
            return 403, {}, b""
        said = {"__type": self.code, "message": "The security token is invalid."}
        return 400, {"x-amzn-errortype": self.code}, json.dumps(said).encode()


@pytest.mark.parametrize("code", sorted(REFUSED_CREDENTIALS))
def test_a_key_that_was_rotated_is_read_again_when_the_old_one_is_refused(
    tmp_path: Path, code: str
) -> None:
    path = tmp_path / "credentials"
    with FakeAwsServer() as server:
        server.answer = known = Gatekeeper("AKIOLD", code)
        clients = clients_with_old_key(path, server)
        clients.s3.head_bucket(Bucket="bucket")
        clients.ecr.describe_repositories()
        known.key = "AKINEW"
        write_key(path, "AKINEW")
        clients.ecr.describe_repositories()
        clients.s3.head_bucket(Bucket="bucket")
    assert known.requests == [True, True, False, True, True]


def test_a_request_without_a_body_in_its_refusal_reads_the_key_again_as_well(
    tmp_path: Path,
) -> None:
    path = tmp_path / "credentials"
    with FakeAwsServer() as server:
        server.answer = known = Gatekeeper("AKINEW")
        clients = clients_with_old_key(path, server)
        _ = clients.frozen_credentials()
        write_key(path, "AKINEW")
        clients.s3.head_bucket(Bucket="bucket")
    assert known.requests == [False, True]


@pytest.mark.parametrize("left", ["same", "nothing", "[default", "other"])
def test_a_request_is_not_repeated_without_other_credentials_and_only_once(
    tmp_path: Path, left: str
) -> None:
    path = tmp_path / "credentials"
    with FakeAwsServer() as server:
        server.answer = known = Gatekeeper("AKINEW")
        clients = clients_with_old_key(path, server)
        _ = clients.frozen_credentials()
        if left == "nothing":
            path.unlink()
        elif left == "other":
            write_key(path, "AKIOTHER")
        elif left != "same":
            path.write_text(left)
        with pytest.raises(ClientError, match="Unrecognized"):
            clients.ecr.describe_repositories()
    assert known.requests == [False] * (2 if left == "other" else 1)


def test_a_credentials_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    target = AwsTarget(credentials_file=str(tmp_path / "nowhere"))
    with pytest.raises(
        ConfigurationError, match=r"option credentials_file='.*nowhere': the file does not exist"
    ):
        AwsClients(target)


def test_a_credentials_file_of_a_stopped_local_stack_says_how_to_start_it(tmp_path: Path) -> None:
    for url, said in (("http://localhost:4577", "local up --port 4577"), ("", "")):
        target = AwsTarget(credentials_file=str(tmp_path / "absent"), endpoint_url=url)
        with pytest.raises(
            ConfigurationError, match=r"credentials_file=.*does not exist"
        ) as caught:
            AwsClients(target)
        assert said in str(caught.value)
        assert ("local stack" in str(caught.value)) is bool(url)


def test_a_profile_that_does_not_exist_is_named(credentials_file: str) -> None:
    with pytest.raises(ConfigurationError, match="other"):
        AwsClients(AwsTarget(credentials_file=credentials_file, profile="other"))


def test_a_missing_region_is_reported_with_the_option_to_set(credentials_file: str) -> None:
    with pytest.raises(ConfigurationError, match="Set the option region"):
        _ = AwsClients(AwsTarget(credentials_file=credentials_file)).ecr


@pytest.mark.parametrize(("host", "retries"), [("localhost", 3), ("aws.example.com", 8)])
def test_a_stack_that_is_stopped_is_given_up_soon(
    credentials_file: str, host: str, retries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []
    monkeypatch.setattr("time.sleep", sleeps.append)
    url = f"http://{host}:4566"
    target = AwsTarget(
        credentials_file=credentials_file,
        profile="science",
        region="eu-central-1",
        endpoint_url=url,
    )
    client = AwsClients(target).functions

    def refuse(**_: Any) -> None:
        raise EndpointConnectionError(endpoint_url=url)

    client.meta.events.register("before-send", refuse)
    with pytest.raises(EndpointConnectionError):
        client.get_account_settings()
    assert len(sleeps) == retries
