"""Servers on the loopback address: the common part of all fakes that speak HTTP."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar

Server = TypeVar("Server", bound="LoopbackServer")


class LoopbackHandler(BaseHTTPRequestHandler):
    """Reads requests and writes answers; ``do_GET`` and the like say which.

    Attributes
    ----------
    fake
        The server that it belongs to.
    """

    protocol_version = "HTTP/1.1"
    fake: Any

    def body(self) -> bytes:
        """Read the request's body."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def answer(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        """Write a whole answer."""
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class LoopbackServer:
    """Serves HTTP while it is open.

    Parameters
    ----------
    context
        Makes it serve HTTPS.
    """

    handler: ClassVar[type[LoopbackHandler]]

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        handler = type("Handler", (self.handler,), {"fake": self})
        self._scheme = "https" if context else "http"
        self._server = TlsServer(("127.0.0.1", 0), handler, context)
        self._serving = serving(self._server)

    @property
    def endpoint(self) -> str:
        """Host and port. An address and no name: S3's buckets then are in the path."""
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://{self.endpoint}"

    def __enter__(self: Server) -> Server:
        self._serving.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._serving.__exit__(None, None, None)


class TlsServer(ThreadingHTTPServer):
    """A server with a thread for each connection, over TLS if it has a context."""

    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], handler: Any, context: ssl.SSLContext | None
    ) -> None:
        super().__init__(address, handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is None:
            super().finish_request(request, client_address)
            return
        # In the connection's own thread: a handshake that fails is nobody else's.
        with self._context.wrap_socket(request, server_side=True) as wrapped:
            super().finish_request(wrapped, client_address)  # type: ignore[arg-type]

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients hang up: those, for one, that do not trust the certificate.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """Let a server serve while the context is open."""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
