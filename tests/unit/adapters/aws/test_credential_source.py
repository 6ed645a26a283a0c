"""Sources of credentials that fail: programs, services and roles, at the start and later."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from covalent_lambda_container.adapters.aws.credential_source import CredentialSource
from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.s3 import S3Bucket
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.errors import ConfigurationError
from tests.fakes.aws_server import Answer, FakeAwsServer, Request


@pytest.fixture
def clients_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AwsClients]:
    """Return clients of a profile with these lines."""

    def clients_of(*lines: str, endpoint: str = "http://127.0.0.1:1") -> AwsClients:
        file = tmp_path / "config"
        file.write_text("\n".join(["[profile here]", "region = eu-west-1", *lines]) + "\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(file))
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        return AwsClients(AwsTarget(profile="here", endpoint_url=endpoint))

    return clients_of


def program(code: str) -> str:
    """Return a profile's line with a program of this code."""
    return f"credential_process = {shlex.join([sys.executable, '-c', code])}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (program("raise SystemExit('no card in the reader')"), "no card in the reader"),
        (program("print('<html>')"), "cannot be read: JSONDecodeError"),
        (program("print([])"), "cannot be read: "),
        (program("import os; os.write(1, bytes([255]))"), "cannot be read: UnicodeDecodeError"),
        (program("import os; os.write(2, bytes([255])); os._exit(1)"), "cannot be read"),
        (program("print('{\"Version\": 7}')"), "Unsupported version '7'"),
        (program("print('{\"Version\": 1}')"), "Missing required key"),
        ("credential_process = /nowhere/at-all", "FileNotFoundError"),
    ],
)
def test_a_program_that_fails_is_an_error_of_its_own(
    clients_of: Callable[..., AwsClients], line: str, said: str
) -> None:
    bucket = S3Bucket(clients_of(line), "bucket")
    with pytest.raises(ConfigurationError, match="credential_process: it must print") as caught:
        bucket.check()
    assert said in caught.value.message
    assert "\n" not in caught.value.message


def test_a_role_that_may_not_be_assumed_is_named(
    clients_of: Callable[..., AwsClients], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = (
        "User: me is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::1:role/r"
    )

    def answer(_: Request) -> Answer:
        text = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{said}</Message></Error>"
        return 403, {}, f"{text}</ErrorResponse>".encode()

    with FakeAwsServer() as server:
        server.answer = answer
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
        clients = clients_of(
            "role_arn = arn:aws:iam::1:role/r",
            "source_profile = base",
            "[profile base]",
            "aws_access_key_id = AKI",
            "aws_secret_access_key = secret",
        )
        with pytest.raises(Exception, match="sts:AssumeRole") as caught:
            asyncio.run(clients.renew_credentials())
    assert "Allow sts:AssumeRole to this identity" in str(caught.value)


def test_a_machine_without_an_identity_is_told_how_to_get_one(
    clients_of: Callable[..., AwsClients], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody answers where an instance's role would be.
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED", raising=False)
    with pytest.raises(ConfigurationError, match="Provide credentials"):
        S3Bucket(clients_of(), "bucket").check()


def test_a_source_that_hangs_keeps_nobody_waiting_for_long() -> None:
    asked: list[float] = []

    def hang() -> None:
        asked.append(time.monotonic())
        time.sleep(60)

    source = CredentialSource(hang, patience_s=0.5)

    def get() -> float:
        started = time.monotonic()
        with pytest.raises(CredentialRetrievalError, match="it gave no answer within 0 s"):
            source.get()
        return time.monotonic() - started

    with ThreadPoolExecutor(8) as pool:
        waited = list(pool.map(lambda _: get(), range(20)))
    assert max(waited) < 3
    assert len(asked) == 1


def test_a_source_that_hung_is_asked_again() -> None:
    answers = iter([threading.Event().wait, lambda _: "credentials"])
    now = 0.0
    source = CredentialSource(lambda: next(answers)(60), patience_s=0.0, now=lambda: now)
    for _ in range(2):
        with pytest.raises(CredentialRetrievalError):
            source.get()
    now = 6.0
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert source.get() == "credentials"
            return
        except CredentialRetrievalError:
            time.sleep(0.05)
    raise AssertionError("it was not asked again")


def test_credentials_that_cannot_be_renewed_are_an_error_of_the_task_that_needs_them() -> None:
    def renew() -> dict[str, str]:
        json.loads("rubbish")
        raise AssertionError

    ends = datetime.now(timezone.utc) + timedelta(seconds=5)
    kept = {"access_key": "AKI", "secret_key": "secret", "token": "token"}
    core = botocore.session.Session()
    core._credentials = RefreshableCredentials.create_from_metadata(
        kept | {"expiry_time": ends.isoformat()}, refresh_using=renew, method="test"
    )
    session = boto3.Session(botocore_session=core, region_name="eu-central-1")
    with FakeAwsServer() as server:
        clients = AwsClients(AwsTarget(endpoint_url=server.url), session)
        invocations = LambdaInvocations(clients)

        async def several() -> list[BaseException | object]:
            running = (invocations.invoke("f", b"{}", timeout_s=5) for _ in range(50))
            return await asyncio.gather(*running, return_exceptions=True)

        errors = asyncio.run(several())
        with pytest.raises(ConfigurationError, match="cannot be read: JSONDecodeError"):
            asyncio.run(clients.renew_credentials())
    assert {type(error) for error in errors} == {ConfigurationError}
