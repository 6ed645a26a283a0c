"""Lambda's Invoke: which answer means what, and that a task is never sent twice."""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import trustme
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.errors import ConfigurationError, InvocationError, UnusableAnswer
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    FunctionMissing,
    NotAccepted,
    Reply,
    Unreachable,
)
from tests.fakes.aws_server import Answer, FakeAwsServer, HangUp, Request

LARGE = 1_000_000
TCP_CONNECTIONS = Path("/proc/net/tcp")
# State, and what its timer is for ("/proc/net/tcp and /proc/net/tcp6 variables", Linux).
ESTABLISHED, KEEP_ALIVE = "01", "02"


class Answers:
    """What the server says next, and what it was asked."""

    def __init__(self) -> None:
        self.next: list[Answer | Exception] = []
        self.requests: list[Request] = []

    def json(self, content: Any, status: int = 200, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.next.append((status, named, json.dumps(content).encode()))

    def error(self, code: str, message: str = "no", status: int = 400) -> None:
        self.json({"Type": "User", "message": message}, status, x_amzn_errortype=code)

    def __call__(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = self.next.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[FakeAwsServer]:
    with FakeAwsServer() as server:
        yield server


@pytest.fixture
def aws(server: FakeAwsServer) -> Answers:
    server.answer = answers = Answers()
    return answers


def clients_of(folder: Path, url: str) -> AwsClients:
    path = folder / "credentials"
    path.write_text("[default]\naws_access_key_id=AKI\naws_secret_access_key=secret\n")
    return AwsClients(
        AwsTarget(credentials_file=str(path), region="eu-central-1", endpoint_url=url)
    )


@pytest.fixture(scope="module")
def invocations(
    server: FakeAwsServer, tmp_path_factory: pytest.TempPathFactory
) -> LambdaInvocations:
    return LambdaInvocations(clients_of(tmp_path_factory.mktemp("aws"), server.url))


def invoke(
    invocations: LambdaInvocations, event: bytes = b'{"v": 1}', timeout_s: int = 60
) -> Reply:
    return asyncio.run(invocations.invoke("a name", event, timeout_s=timeout_s))


def test_an_answer_comes_with_the_end_of_its_log(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    log = base64.b64encode("ends in the middle of ä".encode()[:-1]).decode()
    aws.json({"v": 1}, x_amz_log_result=log)
    reply = invoke(invocations)
    assert reply == Reply(payload={"v": 1}, log_tail="ends in the middle of \ufffd")
    (request,) = aws.requests
    assert (request.operation, request.content) == ("Invoke", {"v": 1})
    assert request.path == "/2015-03-31/functions/a%20name/invocations"
    assert request.headers["X-Amz-Log-Type"] == "Tail"


def test_a_request_is_signed_as_lambda_reads_it(
    invocations: LambdaInvocations, aws: Answers, server: FakeAwsServer
) -> None:
    aws.json({})
    invoke(invocations)
    (request,) = aws.requests
    signed = ("Content-Type", "X-Amz-Log-Type", "X-Amz-Date")
    expected = AWSRequest(
        method="POST",
        url=server.url + request.path,
        data=b'{"v": 1}',
        headers={name: request.headers[name] for name in signed},
    )
    expected.context["timestamp"] = request.headers["X-Amz-Date"]
    auth = SigV4Auth(Credentials("AKI", "secret"), "lambda", "eu-central-1")
    signature = auth.signature(
        auth.string_to_sign(expected, auth.canonical_request(expected)), expected
    )
    assert request.headers["Authorization"].endswith(f"Signature={signature}")
    assert "AKI/" in request.headers["Authorization"]


def test_large_events_and_answers_go_both_ways(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.json({"text": "y" * LARGE})
    event = json.dumps({"text": "x" * LARGE}).encode()
    assert invoke(invocations, event).payload == {"text": "y" * LARGE}
    assert aws.requests[0].content == {"text": "x" * LARGE}


def test_many_invocations_run_on_one_loop(invocations: LambdaInvocations, aws: Answers) -> None:
    for number in range(50):
        aws.json({"number": number})

    async def all_of_them() -> list[Reply]:
        return await asyncio.gather(
            *(invocations.invoke("name", b"{}", timeout_s=60) for _ in range(50))
        )

    replies = asyncio.run(all_of_them())
    assert sorted(reply.payload["number"] for reply in replies) == list(range(50))


def test_a_log_that_cannot_be_read_costs_no_answer(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.json({"v": 1}, x_amz_log_result="abcde")
    assert invoke(invocations) == Reply(payload={"v": 1})


def test_a_function_error_is_no_answer(invocations: LambdaInvocations, aws: Answers) -> None:
    aws.json({"errorType": "Runtime.ExitError"}, x_amz_function_error="Unhandled")
    assert invoke(invocations).function_error == "Unhandled"


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


def test_a_missing_function_has_an_error_of_its_own(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.error("ResourceNotFoundException", status=404)
    with pytest.raises(FunctionMissing, match="a name"):
        invoke(invocations)


@pytest.mark.parametrize(
    "end",
    [
        HangUp(),
        HangUp(reset=True),
        HangUp(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        HangUp(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", reset=True),
        HangUp(b"no HTTP\r\n\r\n"),
    ],
)
def test_a_connection_that_broke_may_have_started_the_task(
    invocations: LambdaInvocations, aws: Answers, end: HangUp
) -> None:
    aws.next.append(end)
    with pytest.raises(ConnectionLost, match=r"\w"):
        invoke(invocations)
    assert len(aws.requests) == 1


def test_an_answer_of_many_values_is_refused_before_it_is_parsed(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.json([[]] * 100_000)
    with pytest.raises(UnusableAnswer, match="name gave an answer that cannot be used: more than"):
        invoke(invocations)


def test_a_connection_that_is_used_again_is_not_trusted_either(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.json({"v": 1})
    aws.next.append(HangUp())

    async def twice() -> None:
        await invocations.invoke("name", b"{}", timeout_s=60)
        await invocations.invoke("name", b"{}", timeout_s=60)

    with pytest.raises(ConnectionLost):
        asyncio.run(twice())
    assert len(aws.requests) == 2


def test_a_service_that_does_not_listen_started_nothing(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        invocations = LambdaInvocations(
            clients_of(tmp_path, f"http://127.0.0.1:{taken.getsockname()[1]}")
        )
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1"):
            invoke(invocations)


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


@pytest.mark.skipif(not TCP_CONNECTIONS.exists(), reason="no /proc/net/tcp here")
def test_a_silent_connection_is_kept_known(
    invocations: LambdaInvocations, server: FakeAwsServer
) -> None:
    timers: list[str] = []
    to_server = f":{int(server.endpoint.rpartition(':')[2]):04X}"

    def look(_: Request) -> Answer:
        # Until the request has been acknowledged, there is another timer.
        time.sleep(0.1)
        rows = map(str.split, TCP_CONNECTIONS.read_text("ascii").splitlines())
        timers.extend(
            row[5].partition(":")[0]
            for row in rows
            if row[2].endswith(to_server) and row[3] == ESTABLISHED
        )
        return 200, {}, b"{}"

    server.answer = look
    invoke(invocations)
    assert set(timers) == {KEEP_ALIVE}


def test_a_forked_process_does_not_wait_for_threads_that_it_lacks(
    server: FakeAwsServer, aws: Answers, tmp_path: Path
) -> None:
    aws.json({"v": 1})
    clients_of(tmp_path, server.url)
    program = f"""
import asyncio, os
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations

target = AwsTarget(
    credentials_file={str(tmp_path / "credentials")!r},
    region="eu-central-1",
    endpoint_url={server.url!r},
)
invocations = LambdaInvocations(AwsClients(target))
invoke = lambda: asyncio.run(invocations.invoke("name", b"{{}}", timeout_s=60))
invoke()
if os.fork():
    os.wait()
else:
    try:
        invoke()
    except Exception as exc:
        os.write(1, str(exc).encode())
    finally:
        os._exit(0)
"""
    command = [sys.executable, "-W", "ignore", "-c", program]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert "forked" in ended.stdout
    assert "'spawn'" in ended.stdout


def test_a_proxy_that_does_not_connect_is_named(
    server: FakeAwsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The server answers 501 to CONNECT.
    monkeypatch.setenv("HTTPS_PROXY", server.url.replace("http://", "http://user:canary@"))
    invocations = LambdaInvocations(clients_of(tmp_path, "https://lambda.example.com"))
    with pytest.raises(InvocationError, match=r"proxy did not connect(.|\n)*HTTPS_PROXY") as caught:
        invoke(invocations)
    assert "canary" not in str(caught.value)


def test_authorities_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "authorities.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    invocations = LambdaInvocations(clients_of(tmp_path, "http://lambda.example.com"))
    with pytest.raises(InvocationError, match=r"authorities\.pem(.|\n)*AWS_CA_BUNDLE"):
        invoke(invocations)


def test_a_credential_that_http_cannot_carry_is_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKI")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canary\r\n")
    target = AwsTarget(region="eu-central-1", endpoint_url="http://lambda.example.com")
    with pytest.raises(InvocationError, match="line break in one of the AWS cred") as caught:
        invoke(LambdaInvocations(AwsClients(target)))
    assert "canary" not in "".join(traceback.format_exception(caught.value))


def test_a_proxy_that_boto3_would_not_take_is_not_taken(
    invocations: LambdaInvocations, aws: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    aws.json({"v": 1})
    # A timeout of its own: its client is made now.
    assert invoke(invocations, timeout_s=61).payload == {"v": 1}


def test_a_service_without_a_trusted_certificate_started_nothing(
    secured: FakeAwsServer, tmp_path: Path
) -> None:
    invocations = LambdaInvocations(clients_of(tmp_path, secured.url))
    with pytest.raises(InvocationError, match=r"no trusted connection to https:(.|\n)*AWS_CA_BUN"):
        invoke(invocations)


def test_an_authority_that_boto3_trusts_is_trusted(
    secured: FakeAwsServer,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(bundle)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(bundle))
    secured.answer = aws = Answers()
    aws.json({"v": 1})
    invocations = LambdaInvocations(clients_of(tmp_path, secured.url))
    assert invoke(invocations).payload == {"v": 1}


def test_without_credentials_nothing_is_sent(aws: Answers, server: FakeAwsServer) -> None:
    target = AwsTarget(region="eu-central-1", endpoint_url=server.url)
    with pytest.raises(ConfigurationError, match="Unable to locate credentials"):
        invoke(LambdaInvocations(AwsClients(target)))
    assert aws.requests == []


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
def test_what_lambda_found_before_the_start_is_final(
    invocations: LambdaInvocations, aws: Answers, code: str, status: int
) -> None:
    aws.error(code, "Lambda was unable to", status)
    with pytest.raises(InvocationError, match=f"AWS answered {code}: Lambda was unable to"):
        invoke(invocations)
    assert len(aws.requests) == 1


def test_an_answer_that_is_no_json_was_cut_off(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.next.append((200, {}, b'{"v": 1, "sta'))
    with pytest.raises(ConnectionLost):
        invoke(invocations)


def test_any_other_refusal_is_final(invocations: LambdaInvocations, aws: Answers) -> None:
    aws.error("InvalidRequestContentException", "not JSON")
    with pytest.raises(InvocationError, match="AWS answered InvalidRequestContent"):
        invoke(invocations)
    assert len(aws.requests) == 1


def test_refused_credentials_are_a_matter_of_configuration(
    invocations: LambdaInvocations, aws: Answers
) -> None:
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
        with pytest.raises(Exception, match=r"said|does not exist any more") as caught:
            invoke(invocations)
        kind = {NotAccepted: "again", InvocationError: "final"}.get(caught.type, "other")
        kinds[kind].add(shape.name)
    # An older botocore knows fewer.
    assert kinds["final"] <= final
    assert kinds["other"] == {"ResourceNotFoundException", "ServiceException"}
