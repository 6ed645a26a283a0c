"""AWS as boto3's own clients see it, with prepared answers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict

Answer = Exception | tuple[int, dict[str, str], bytes]


class _Raw(io.BytesIO):
    """A body as urllib3 gives it."""

    def stream(self, amt: int = 1024, **_: Any) -> Iterator[bytes]:
        while content := self.read(amt):
            yield content


@dataclass
class FakeAwsHttp:
    """Answers requests in the order in which answers were given.

    Attributes
    ----------
    answers
        Answers to the next requests: an exception for the transport to raise, or status, headers
        and body.
    requests
        Operation and content of every request.
    """

    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, Any]] = field(default_factory=list)

    def json(self, content: Any, status: int = 200, **headers: str) -> None:
        """Give a JSON answer next."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append((status, named, json.dumps(content).encode()))

    def error(self, code: str, message: str = "no", status: int = 400) -> None:
        """Give an error next, as services with a JSON protocol write it."""
        self.json({"__type": code, "message": message}, status, x_amzn_errortype=code)

    @property
    def operations(self) -> list[str]:
        """Names of the operations asked for, in order."""
        return [name for name, _ in self.requests]

    @contextmanager
    def behind(self, client: Any) -> Iterator[None]:
        """Stand behind a client; none of its requests leaves the process."""
        client.meta.events.register("before-send", self._answer)
        try:
            yield
        finally:
            client.meta.events.unregister("before-send", self._answer)

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        body: Any = request.body
        body = body.read() if hasattr(body, "read") else body
        try:
            content = json.loads(body or b"null")
        except ValueError:
            content = body
        self.requests.append((event_name.rpartition(".")[2], content))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, headers, answered = answer
        return AWSResponse(request.url, status, HeadersDict(headers), _Raw(answered))
