"""A Docker engine's HTTP API that answers with recorded streams."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


class FakeDockerApi:
    """Serves the API on the loopback address while it is open.

    Attributes
    ----------
    streams
        Records of the next builds and pushes, one list each.
    breaks_off
        Set to close the connection in the middle of a stream.
    requests
        Query of each build and push, with its registry credentials as ``"auth"`` and its body as
        ``"body"``.
    """

    def __init__(self) -> None:
        self.streams: list[list[dict[str, Any]]] = []
        self.breaks_off = False
        self.requests: list[dict[str, Any]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        """What DOCKER_HOST has to be."""
        return f"tcp://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FakeDockerApi:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = json.dumps({"ApiVersion": "1.41", "Arch": "amd64"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_POST(self) -> None:
                api.requests.append(self._request())
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for record in api.streams.pop(0):
                    self._write_chunk(json.dumps(record).encode() + b"\r\n")
                self.close_connection = True
                if not api.breaks_off:
                    self._write_chunk(b"")

            def _request(self) -> dict[str, Any]:
                auth = self.headers.get("X-Registry-Auth")
                return dict(parse_qsl(urlsplit(self.path).query)) | {
                    "auth": json.loads(base64.urlsafe_b64decode(auth)) if auth else None,
                    "body": self._body(),
                }

            def _body(self) -> bytes:
                if self.headers.get("Transfer-Encoding") != "chunked":
                    return self.rfile.read(int(self.headers.get("Content-Length", 0)))
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def _write_chunk(self, content: bytes) -> None:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(content), content))

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
