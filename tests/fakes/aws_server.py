"""AWS as any HTTP client sees it: a server on the loopback address."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

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
    headers: dict[str, str]
    content: Any


Answer = tuple[int, dict[str, str], bytes]


class HangUp(Exception):
    """Ends the connection in place of an answer.

    Parameters
    ----------
    sent
        What is written before.
    reset
        Whether it ends with a reset.
    """

    def __init__(self, sent: bytes = b"", *, reset: bool = False) -> None:
        self.sent, self.reset = sent, reset


class FakeAwsServer:
    """Serves while it is open; `answer` says what.

    Attributes
    ----------
    answer
        Returns status, headers and body, or raises `HangUp`.
    """

    def __init__(self) -> None:
        self.answer: Callable[[Request], Answer] = lambda _: (500, {}, b"{}")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """Where it is. An address and no name: S3's buckets then are in the path."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeAwsServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                request = Request(
                    operation=_operation(self.command, self.path, dict(self.headers)),
                    path=self.path,
                    headers=dict(self.headers),
                    content=_content(body),
                )
                try:
                    status, headers, content = server.answer(request)
                except HangUp as end:
                    self.wfile.write(end.sent)
                    self.close_connection = True
                    if end.reset:
                        linger = struct.pack("ii", 1, 0)
                        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        self.connection.close()
                    return
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - http.server's names

            def log_message(self, *_: Any) -> None:
                pass

        return Handler


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
