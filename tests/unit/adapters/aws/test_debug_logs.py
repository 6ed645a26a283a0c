"""Debug logs of AWS's libraries: what they quote has no secrets."""

from __future__ import annotations

import base64
import json
import logging
import re

import pytest

from covalent_lambda_container.adapters.aws.debug_logs import redacted
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from tests.fakes.aws_server import FakeAwsServer

SECRET = "canary/+0123=="


@pytest.mark.parametrize(
    "said",
    [
        f'{{"authorizationToken": "{SECRET}", "proxyEndpoint": "x"}}',
        f'b\'{{"roleCredentials":{{"secretAccessKey":"{SECRET}"}}}}\'',
        f"<Credentials><SecretAccessKey>{SECRET}</SecretAccessKey><Expiration>",
        f"<SessionToken>{SECRET}</SessionToken>",
        f"x-amz-security-token:{SECRET}\nx-amz-target:Get",
        f"'X-Amz-Security-Token': b'{SECRET}', 'User-Agent': b'x'",
        f"https://b.example.com/?X-Amz-Security-Token={SECRET}&X-Amz-SignedHeaders=host",
        f"{{'aws_session_token': '{SECRET}', 'aws_secret_access_key': '{SECRET}'}}",
        f'{{"accessToken": "{SECRET}", "clientSecret": "{SECRET}"}}',
    ],
)
def test_a_secret_is_replaced_and_the_rest_is_not(said: str) -> None:
    shown = redacted(said)
    assert "canary" not in shown
    assert shown == said.replace(SECRET, "…")


def test_the_logs_of_real_requests_have_no_secret(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canarysecret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "canarysession==")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    login = base64.b64encode(b"AWS:canarypassword").decode()
    granted = {"authorizationData": [{"authorizationToken": login, "proxyEndpoint": "https://x"}]}
    with FakeAwsServer() as server, caplog.at_level(logging.DEBUG):
        server.answer = lambda _: (200, {}, json.dumps(granted).encode())
        clients = AwsClients(AwsTarget(endpoint_url=server.url))
        answer = clients.ecr.get_authorization_token()
        assert answer["authorizationData"][0]["authorizationToken"] == login
        given = {"Bucket": "bucket", "Key": "key"}
        url = clients.s3.generate_presigned_url("get_object", Params=given)
    signature = re.search(r"X-Amz-Signature=(\w+)", url)
    assert signature is not None
    assert "GetAuthorizationToken" in caplog.text
    for secret in ("canary", login, signature[1]):
        assert secret not in caplog.text
