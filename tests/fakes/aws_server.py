"""AWS as any HTTP client sees it: a server on the loopback address."""

from __future__ import annotations

import json
import re
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from requests.structures import CaseInsensitiveDict

from tests.fakes.loopback import LoopbackHandler, LoopbackServer

_OPERATIONS = (
    (r"HEAD /[^/]+$", "HeadBucket"),
    (r"POST /2015-03-31/functions/?$", "CreateFunction"),
    (r"GET /2015-03-31/functions/[^/]+$", "GetFunction"),
    (r"PUT /2017-10-31/functions/[^/]+/concurrency$", "PutFunctionConcurrency"),
    (r"POST /2015-03-31/functions/[^/]+/invocations$", "Invoke"),
    (r"POST /$", "GetCallerIdentity"),
)


@dataclass(frozen=True)
class Request:
    """One request.

    Parameters
    ----------
    operation
        AWS's name of what is asked for.
    path, headers
        As they came.
    content
        The body, read as JSON.
    """

    operation: str
    path: str
    headers: CaseInsensitiveDict[str]
    content: Any


Answer = tuple[int, dict[str, str], bytes]


class HangUp(Exception):
    """Ends the connection instead of answering.

    Parameters
    ----------
    sent
        Bytes that are written before.
    reset
        Whether it ends with a reset.
    """

    def __init__(self, sent: bytes = b"", *, reset: bool = False) -> None:
        self.sent, self.reset = sent, reset


class _Handler(LoopbackHandler):
    fake: FakeAwsServer

    def _serve(self) -> None:
        request = Request(
            operation=_operation(self.command, self.path, dict(self.headers)),
            path=self.path,
            headers=CaseInsensitiveDict(self.headers),
            content=_content(self.body()),
        )
        try:
            status, headers, content = self.fake.answer(request)
        except HangUp as end:
            self.wfile.write(end.sent)
            self.close_connection = True
            if end.reset:
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
            return
        self.answer(status, content, headers)

    do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - http.server's names


class FakeAwsServer(LoopbackServer):
    """Serves while it is open; `answer` says what.

    Attributes
    ----------
    answer
        Returns status, headers and body, or raises `HangUp`.
    """

    handler = _Handler

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self.answer: Callable[[Request], Answer] = lambda _: (500, {}, b"{}")


def _content(body: bytes) -> Any:
    try:
        return json.loads(body or b"null")
    except ValueError:
        # STS is asked in the form of a web page's.
        return parse_qs(body.decode())


def _operation(method: str, path: str, headers: dict[str, str]) -> str:
    target = headers.get("X-Amz-Target")
    if target:
        return target.rpartition(".")[2]
    for pattern, name in _OPERATIONS:
        if re.match(pattern, f"{method} {path.partition('?')[0]}"):
            return name
    return f"{method} {path}"
