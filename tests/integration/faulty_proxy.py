"""An HTTP proxy before Lambda's endpoint that breaks invocations in chosen ways."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

PASS = "pass"
CUT_BEFORE = "cut before the request was passed on"
CUT_WHILE_RUNNING = "cut after the request was passed on"
CUT_ANSWER = "cut in the middle of the answer"
CUT_WITH_OTHERS = "cut at the same moment as others"
SLOW = "slow answer"
THROTTLED = "429"
BROKEN = "500 without passing the request on"
BROKEN_AFTER = "500 after passing the request on"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # With the usual five, connections of many tasks that come at once are lost before they are cut.
    request_queue_size = 1000


class FaultyProxy:
    """Passes requests on to `endpoint`; each invocation takes the next fault of `plan`."""

    def __init__(self, endpoint: str) -> None:
        self._upstream = urlsplit(endpoint).netloc
        self.plan: list[str] = []
        self.passed_on = 0
        self._held: list[threading.Event] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                outer._handle(self)

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        self._server = _Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://localhost:{self._server.server_port}"

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        invocation = request.path.endswith("/invocations") and b'"ping"' not in body
        fault = self.plan.pop(0) if invocation and self.plan else PASS
        if fault == CUT_BEFORE:
            self._cut(request)
        elif fault == THROTTLED:
            self._answer(request, 429, "TooManyRequestsException")
        elif fault == BROKEN:
            self._answer(request, 500, "ServiceException")
        elif fault == CUT_WHILE_RUNNING:
            threading.Thread(target=self._pass_on, args=(request, body), daemon=True).start()
            time.sleep(0.3)
            self._cut(request)
        elif fault == CUT_WITH_OTHERS:
            self._hold(request, body)
        else:
            status, headers, answer = self._pass_on(request, body)
            if fault == BROKEN_AFTER:
                self._answer(request, 500, "ServiceException")
                return
            if fault == SLOW:
                time.sleep(3)
            request.send_response(status)
            for name, value in headers:
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    request.send_header(name, value)
            request.send_header("Content-Length", str(len(answer)))
            request.end_headers()
            if fault == CUT_ANSWER:
                request.wfile.write(answer[: len(answer) // 2])
                request.wfile.flush()
                self._cut(request)
            else:
                request.wfile.write(answer)

    def cut_held(self) -> None:
        """Cut all connections that wait for others."""
        for held in self._held:
            held.set()

    def _hold(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        """Keep an answer back until all connections are cut, unless Lambda refuses the request."""
        ended, refusals = threading.Event(), list[bytes]()

        def pass_on() -> None:
            status, _, answer = self._pass_on(request, body)
            if status == HTTPStatus.TOO_MANY_REQUESTS:
                refusals.append(answer)
                ended.set()

        self._held.append(ended)
        threading.Thread(target=pass_on, daemon=True).start()
        ended.wait()
        if refusals:
            self.plan.append(CUT_WITH_OTHERS)
            self._answer(request, HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequestsException")
        else:
            self._cut(request)

    def _pass_on(self, request: BaseHTTPRequestHandler, body: bytes) -> Any:
        self.passed_on += 1
        connection = http.client.HTTPConnection(self._upstream, timeout=120)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, request: BaseHTTPRequestHandler, status: int, code: str) -> None:
        content = json.dumps({"message": "made up", "Type": "User"}).encode()
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("x-amzn-ErrorType", code)
        request.end_headers()
        request.wfile.write(content)

    def _cut(self, request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        with suppress(OSError):
            request.connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def running(self) -> Iterator[FaultyProxy]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()
