"""Invocations without an answer: whether the function was started, and the advice."""

from __future__ import annotations

import asyncio
import resource
import socket
from pathlib import Path

import botocore.session
import pytest

from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.errors import ConfigurationError, InvocationError
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    FunctionMissing,
    NotAccepted,
    Unreachable,
)
from tests.fakes.aws_server import FakeAwsServer, HangUp
from tests.unit.adapters.aws.invoking import Answers, clients_of, invoke


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        ("TooManyRequestsException", "concurrency quota"),
        ("ResourceConflictException", ""),
        ("ResourceNotReadyException", ""),
        ("EC2ThrottledException", "network interfaces"),
        ("ENILimitReachedException", "quota of network interfaces"),
        ("SubnetIPAddressLimitReachedException", "subnet_ids"),
        ("CodeArtifactUserPendingException", ""),
        ("CodeArtifactUserDeletedException", ""),
        ("ENINotReadyException", ""),
        ("SnapStartNotReadyException", ""),
        ("SnapStartRegenerationFailureException", ""),
        ("SnapStartTimeoutException", ""),
        ("EC2UnexpectedException", ""),
        ("EFSMountConnectivityException", "security groups"),
        ("EFSMountTimeoutException", "mount targets"),
    ],
)
def test_a_task_that_lambda_did_not_accept_is_not_sent_again_here(
    invocations: LambdaInvocations, aws: Answers, code: str, hint: str
) -> None:
    aws.error(code, "Rate Exceeded.", status=429)
    with pytest.raises(NotAccepted, match=f"{code}: Rate Exceeded.") as caught:
        invoke(invocations)
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)
    assert len(aws.requests) == 1


def test_a_missing_function_has_a_specific_error(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.error("ResourceNotFoundException", status=404)
    with pytest.raises(FunctionMissing, match="a name"):
        invoke(invocations)


def test_a_service_that_does_not_listen_started_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        invocations = LambdaInvocations(
            clients_of(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}")
        )
        with pytest.raises(Unreachable, match=r"no connection to http://127\.0\.0\.1") as caught:
            invoke(invocations)
    assert "covalent-lambda local up" in caught.value.hint


def test_a_process_without_a_file_left_started_nothing(tmp_path: Path) -> None:
    async def without_files(invocations: LambdaInvocations) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        try:
            await invocations.invoke("name", b"{}", timeout_s=60)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    with FakeAwsServer() as server:
        server.answer = aws = Answers()
        invocations = LambdaInvocations(clients_of(tmp_path, server.url))
        # Has read what it needs, and has no connection left.
        aws.next.append(HangUp())
        with pytest.raises(ConnectionLost):
            invoke(invocations)
        with pytest.raises(NotAccepted, match="Too many open files") as caught:
            asyncio.run(without_files(invocations))
        assert "ulimit -n" in caught.value.hint
        aws.json({"v": 1})
        assert invoke(invocations).payload == {"v": 1}
        assert len(aws.requests) == 2


def test_a_proxy_that_does_not_connect_is_named(
    server: FakeAwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server answers 501 to CONNECT.
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("http://", "http://user:canary@"))
    invocations = LambdaInvocations(clients_of(tmp_path, "https://lambda.example.com"))
    with pytest.raises(InvocationError, match=r"proxy did not connect(.|\n)*HTTPS_PROXY") as caught:
        invoke(invocations)
    assert "canary" not in str(caught.value)


def test_a_service_without_a_trusted_certificate_started_nothing(
    secured: FakeAwsServer, tmp_path: Path
) -> None:
    invocations = LambdaInvocations(clients_of(tmp_path, secured.url))
    with pytest.raises(InvocationError, match=r"no trusted connection to https:(.|\n)*AWS_CA_BUN"):
        invoke(invocations)


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_failure_of_lambdas_may_have_started_the_task(
    invocations: LambdaInvocations, aws: Answers, status: int
) -> None:
    aws.error("ServiceException", "internal", status)
    with pytest.raises(ConnectionLost, match="ServiceException: internal"):
        invoke(invocations)
    assert len(aws.requests) == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("KMSAccessDeniedException", 502),
        ("KMSDisabledException", 502),
        ("KMSInvalidStateException", 502),
        ("EFSMountFailureException", 403),
        ("EFSIOException", 410),
        ("CodeArtifactUserFailedException", 409),
        ("ServiceQuotaExceededException", 402),
        ("InvalidSecurityGroupIDException", 502),
    ],
)
def test_errors_that_lambda_found_before_the_start_are_final(
    invocations: LambdaInvocations, aws: Answers, code: str, status: int
) -> None:
    aws.error(code, "Lambda was unable to", status)
    with pytest.raises(InvocationError, match=f"AWS answered {code}: Lambda was unable to"):
        invoke(invocations)
    assert len(aws.requests) == 1


def test_any_other_refusal_is_final(invocations: LambdaInvocations, aws: Answers) -> None:
    aws.error("InvalidRequestContentException", "not JSON")
    with pytest.raises(InvocationError, match="AWS answered InvalidRequestContent"):
        invoke(invocations)
    assert len(aws.requests) == 1


def test_refused_credentials_are_a_matter_of_configuration(
    aws: Answers, server: FakeAwsServer, tmp_path: Path
) -> None:
    invocations = LambdaInvocations(clients_of(tmp_path, server.url))
    aws.error("ExpiredTokenException", "The security token included in the request is expired")
    with pytest.raises(ConfigurationError, match="renew the login"):
        invoke(invocations)


def test_every_error_that_botocore_knows_has_been_decided_upon(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    # A new release of botocore may know more: read what they say, and decide.
    session = botocore.session.get_session()
    operation = session.get_service_model("lambda").operation_model("Invoke")
    final = {
        *("CodeArtifactUserFailedException", "DurableExecutionAlreadyStartedException"),
        *("EC2AccessDeniedException", "EFSIOException", "EFSMountFailureException"),
        *("InvalidParameterValueException", "InvalidRequestContentException"),
        *("InvalidRuntimeException", "InvalidSecurityGroupIDException", "InvalidSubnetIDException"),
        *("InvalidZipFileException", "KMSAccessDeniedException", "KMSDisabledException"),
        *("KMSInvalidStateException", "KMSNotFoundException", "ModeNotSupportedException"),
        *(
            "NoPublishedVersionException",
            "RecursiveInvocationException",
            "RequestTooLargeException",
        ),
        *("S3FilesMountFailureException", "SerializedRequestEntityTooLargeException"),
        *("ServiceQuotaExceededException", "SnapStartException", "UnsupportedMediaTypeException"),
    }
    kinds: dict[str, set[str]] = {"final": set(), "again": set(), "other": set()}
    for shape in operation.error_shapes:
        aws.error(shape.name, "said", shape.metadata["error"]["httpStatusCode"])
        with pytest.raises(Exception, match=r"said|no longer exists") as caught:
            invoke(invocations)
        kind = {NotAccepted: "again", InvocationError: "final"}.get(caught.type, "other")
        kinds[kind].add(shape.name)
    # An older botocore knows fewer.
    assert kinds["final"] <= final
    assert kinds["other"] == {"ResourceNotFoundException", "ServiceException"}
