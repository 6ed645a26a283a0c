"""HTTP proxies before the local stack that break requests at random, for a while or one by one."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PASS = "pass"
CUT_BEFORE = "cut before the request was passed on"
CUT_AFTER = "cut after the request was passed on"
CUT_ANSWER = "cut in the middle of the answer"
THROTTLED = "429"
BROKEN = "500"
UNAVAILABLE = "503"
SLOW = "slow"
ERROR_LOST = "cut in the middle of Lambda's report of a failure or refusal"

LAMBDA_FAULTS = (CUT_AFTER, CUT_AFTER, CUT_ANSWER, THROTTLED, BROKEN, CUT_BEFORE)
S3_FAULTS = (UNAVAILABLE, SLOW)
_CODES = {THROTTLED: (429, "TooManyRequestsException"), BROKEN: (500, "ServiceException")}


class BreakingProxy:
    """Passes requests on to `endpoint`, with faults.

    Parameters
    ----------
    endpoint
        The stack's.
    listener
        Where it listens, with others on the same port.
    choose
        Returns what happens to the next request, given its path and body.
    noted
        Is given the body of each invocation whose answer, Lambda's own report of a failure or a
        refusal, was cut.
    """

    def __init__(
        self,
        endpoint: str,
        listener: socket.socket,
        choose: Callable[[str, bytes], str],
        noted: Callable[[bytes], None],
    ) -> None:
        self._upstream = urlsplit(endpoint).netloc
        self._noted = noted
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                with suppress(OSError, http.client.HTTPException):
                    outer._handle(self, choose)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
        self._server.socket.close()
        self._server.socket = listener
        self._server.server_address = listener.getsockname()
        self._server.daemon_threads = True

    def _handle(self, request: BaseHTTPRequestHandler, choose: Callable[[str, bytes], str]) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        fault = choose(request.path, body)
        if fault == CUT_BEFORE:
            self._cut(request)
            return
        if fault in _CODES:
            status, code = _CODES[fault]
            self._answer(request, status, [("x-amzn-ErrorType", code)], b'{"message": "made up"}')
            return
        if fault == UNAVAILABLE:
            text = b"<Error><Code>SlowDown</Code><Message>made up</Message></Error>"
            self._answer(request, 503, [], text)
            return
        if fault == CUT_AFTER:
            threading.Thread(target=self._lose, args=(request, body), daemon=True).start()
            time.sleep(random.uniform(0.05, 1.0))
            self._cut(request)
            return
        if fault == SLOW:
            time.sleep(random.uniform(0.5, 3.0))
        if fault == CUT_ANSWER:
            status, headers, answer = self._lose(request, body)
        else:
            status, headers, answer = self._pass_on(request, body)
        kept = [
            (name, value)
            for name, value in headers
            if name.lower() not in ("transfer-encoding", "content-length", "connection")
        ]
        self._answer(request, status, kept, answer, half=fault == CUT_ANSWER)

    def _lose(self, request: BaseHTTPRequestHandler, body: bytes) -> Any:
        reply = self._pass_on(request, body)
        # No function has the answer that Lambda itself gave: it refused, or the function failed.
        if reply[0] >= 400 or any(name.lower() == "x-amz-function-error" for name, _ in reply[1]):
            self._noted(body)
        return reply

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> Any:
        connection = http.client.HTTPConnection(self._upstream, timeout=200)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
        *,
        half: bool = False,
    ) -> None:
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command == "HEAD":
            return
        request.wfile.write(content[: len(content) // 2] if half else content)
        request.wfile.flush()
        if half:
            self._cut(request)

    def _cut(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        with suppress(OSError):
            request.connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Serve while the context is open."""
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
