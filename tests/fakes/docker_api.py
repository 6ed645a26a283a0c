"""A Docker engine's HTTP API that answers with recorded streams."""

from __future__ import annotations

import base64
import json
import re
import ssl
import threading
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.fakes.loopback import LoopbackHandler, LoopbackServer


class _Handler(LoopbackHandler):
    fake: FakeDockerApi

    def _ask(self) -> None:
        path = re.sub(r"^/v[0-9.]+", "", unquote(urlsplit(self.path).path))
        status, content = self.fake.answers.get(path, (404, {"message": f"no such {path}"}))
        self.answer(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _stream(self) -> None:
        self.fake.requests.append(self._request())
        if self.fake.statuses:
            status, message = self.fake.statuses.pop(0)
            content = json.dumps({"message": message}).encode()
            self.answer(status, content, {"Content-Type": "application/json"})
            return
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for record in self.fake.streams.pop(0):
            self._write_chunk(json.dumps(record).encode() + b"\r\n")
        self.close_connection = True
        if self.fake.holds:
            self.fake.holding.set()
            # Nothing comes from a client that waits.
            if self.rfile.read(1) == b"":
                self.fake.hung_up.set()
            return
        if not self.fake.breaks_off:
            self._write_chunk(b"")

    do_GET, do_POST = _ask, _stream  # noqa: N815 - http.server's names

    def _request(self) -> dict[str, Any]:
        auth = self.headers.get("X-Registry-Auth")
        return dict(parse_qsl(urlsplit(self.path).query)) | {
            "auth": json.loads(base64.urlsafe_b64decode(auth)) if auth else None,
            "body": self.body(),
        }

    def _write_chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))


class FakeDockerApi(LoopbackServer):
    """Serves the API on the loopback address while it is open.

    Attributes
    ----------
    streams
        Records of the next builds, pulls and pushes, one list each.
    breaks_off
        Set to close the connection in the middle of a stream.
    holds
        Set to say nothing more after a stream, until the client hangs up.
    holding, hung_up
        Whether a client waits for more, and whether it has hung up.
    answers
        Status and JSON of what is asked for, by the path without the API's version.
    statuses
        Status and message of the next builds, pulls and pushes, which fail before their streams.
    waits
        Seconds for which something waited, if it is given ``waits.append`` to wait with.
    requests
        Query of each build, pull and push, with its registry credentials as ``"auth"`` and its body
        as ``"body"``.
    """

    handler = _Handler

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__(context)
        self.streams: list[list[dict[str, Any]]] = []
        self.answers: dict[str, tuple[int, Any]] = {
            "/version": (200, {"ApiVersion": "1.41", "Arch": "amd64"})
        }
        self.statuses: list[tuple[int, str]] = []
        self.waits: list[float] = []
        self.breaks_off = self.holds = False
        self.holding, self.hung_up = threading.Event(), threading.Event()
        self.requests: list[dict[str, Any]] = []
