"""Lambda's Invoke: which answer means what, and that a task is never sent twice."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
import time
import traceback
from pathlib import Path

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
    CredentialsRefused,
    Reply,
)
from tests.fakes.aws_server import Answer, FakeAwsServer, HangUp, Request
from tests.unit.adapters.aws.invoking import Answers, clients_of, invoke

LARGE = 1_000_000


TCP_CONNECTIONS = Path("/proc/net/tcp")


# State, and what its timer is for ("/proc/net/tcp and /proc/net/tcp6 variables", Linux).
ESTABLISHED = "01"


KEEP_ALIVE = "02"


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


def test_a_function_error_is_not_an_answer(invocations: LambdaInvocations, aws: Answers) -> None:
    aws.json({"errorType": "Runtime.ExitError"}, x_amz_function_error="Unhandled")
    assert invoke(invocations).function_error == "Unhandled"


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
    with pytest.raises(UnusableAnswer, match="name returned an unusable answer: more than"):
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


def test_an_answer_that_is_not_json_was_cut_off(
    invocations: LambdaInvocations, aws: Answers
) -> None:
    aws.next.append((200, {}, b'{"v": 1, "sta'))
    with pytest.raises(ConnectionLost):
        invoke(invocations)


def test_a_key_that_was_rotated_is_read_again_when_the_old_one_is_refused(
    aws: Answers, server: FakeAwsServer, tmp_path: Path
) -> None:
    invocations = LambdaInvocations(clients_of(tmp_path, server.url))
    aws.json({})
    invoke(invocations)
    path = tmp_path / "credentials"
    path.write_text(path.read_text().replace("AKI", "AKINEW"))
    aws.error("UnrecognizedClientException", "The security token is invalid.", 403)
    with pytest.raises(CredentialsRefused, match="refused the credentials"):
        invoke(invocations)
    # Sent again by who can sign the event's URLs again.
    assert len(aws.requests) == 2
    aws.json({"v": 2})
    assert invoke(invocations).payload == {"v": 2}
    assert "Credential=AKINEW/" in aws.requests[-1].headers["Authorization"]


def test_credentials_that_were_accepted_may_be_replaced_soon(
    aws: Answers, server: FakeAwsServer, tmp_path: Path
) -> None:
    invocations = LambdaInvocations(clients_of(tmp_path, server.url))
    aws.error("UnrecognizedClientException", "The security token is invalid.", 403)
    with pytest.raises(ConfigurationError, match="refused the credentials"):
        invoke(invocations)
    aws.json({})
    invoke(invocations)
    aws.error("UnrecognizedClientException", "The security token is invalid.", 403)
    with pytest.raises(CredentialsRefused, match="refused the credentials"):
        invoke(invocations)


EXITING = """
import asyncio, sys
from pathlib import Path
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from tests.unit.adapters.aws.invoking import clients_of

async def invoke():
    invocations = LambdaInvocations(clients_of(Path(sys.argv[1]), sys.argv[2]))
    sent = (invocations.invoke("name", b"{}", timeout_s=60) for _ in range(20))
    await asyncio.gather(*sent)

asyncio.run(invoke())
"""


def test_a_program_may_end_right_after_its_invocations(
    server: FakeAwsServer, tmp_path: Path
) -> None:
    server.answer = lambda _: (200, {}, b"{}")
    command = [sys.executable, "-W", "ignore", "-c", EXITING]
    folders = [tmp_path / str(number) for number in range(8)]
    for folder in folders:
        folder.mkdir()
    # The threads of pyqwest abort one in three without the wait at exit.
    programs = [
        subprocess.Popen([*command, str(folder), server.url], stderr=subprocess.PIPE, text=True)
        for folder in folders
    ]
    ended = [program.communicate()[1] for program in programs]
    assert [program.returncode for program in programs] == [0] * 8, ended
