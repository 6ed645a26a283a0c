"""Shared by tests of invocations: a server that answers like Lambda, and its client."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from covalent_lambda_container.adapters.aws.lambda_invocations import LambdaInvocations
from covalent_lambda_container.adapters.aws.session import AwsClients, AwsTarget
from covalent_lambda_container.ports.functions import (
    Reply,
)
from tests.fakes.aws_server import Answer, Request


class Answers:
    """The server's next answers, and the requests that it received."""

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


def clients_of(folder: Path, url: str) -> AwsClients:
    path = folder / "credentials"
    path.write_text("[default]\naws_access_key_id=AKI\naws_secret_access_key=secret\n")
    return AwsClients(
        AwsTarget(credentials_file=str(path), region="eu-central-1", endpoint_url=url)
    )


def invoke(
    invocations: LambdaInvocations, event: bytes = b'{"v": 1}', timeout_s: int = 60
) -> Reply:
    return asyncio.run(invocations.invoke("a name", event, timeout_s=timeout_s))
