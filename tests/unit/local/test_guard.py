"""The guard of a function's container: who has no key runs nothing."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from covalent_lambda_container.local.guard import KEY_HEADER, serve

KEY = "0123456789abcdef"


class Emulator(ThreadingHTTPServer):
    """What the guard stands in front of; it answers with what it was sent."""

    daemon_threads = True

    def __init__(self) -> None:
        emulator = self
        self.asked = 0

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                emulator.asked += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def guarded(inner_port: int) -> int:
    """Return the port of a guard."""
    listening = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listening, KEY, inner_port), daemon=True).start()
    port: int = listening.getsockname()[1]
    return port


@pytest.mark.parametrize("size", [0, 10, 6_000_000])
def test_requests_with_the_key_are_passed_on_whole(emulator: Emulator, size: int) -> None:
    body = b"x" * size
    with closing(http.client.HTTPConnection("127.0.0.1", guarded(emulator.server_port))) as asked:
        asked.request("POST", "/", body, {KEY_HEADER.lower(): KEY})
        assert asked.getresponse().read() == body


@pytest.mark.parametrize(
    "headers",
    [{}, {KEY_HEADER: ""}, {KEY_HEADER: KEY[:-1]}, {KEY_HEADER: KEY + "0"}, {"X": f"{KEY_HEADER}"}],
)
def test_requests_without_the_key_are_refused(emulator: Emulator, headers: dict[str, str]) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", guarded(emulator.server_port))) as asked:
        asked.request("POST", f"/{KEY_HEADER}:{KEY}", f"\r\n{KEY_HEADER}: {KEY}\r\n\r\n", headers)
        assert asked.getresponse().status == 403
    assert emulator.asked == 0


@pytest.mark.parametrize("said", [b"", b"\r\n\r\n", b"x" * 100_000, b"\0" * 10])
def test_what_is_no_request_is_not_passed_on(emulator: Emulator, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", guarded(emulator.server_port))) as asked:
        asked.settimeout(5)
        asked.sendall(said)
        asked.shutdown(socket.SHUT_WR)
        try:
            answer = asked.recv(1000)
        except ConnectionResetError:
            answer = b""
    assert answer in (b"", answer if answer.startswith(b"HTTP/1.1 403 ") else b"")
    assert emulator.asked == 0


def test_before_the_emulator_listens_connections_are_closed_without_an_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        unused = free.getsockname()[1]
    with socket.create_connection(("127.0.0.1", guarded(unused))) as asked:
        asked.sendall(f"POST / HTTP/1.1\r\n{KEY_HEADER}: {KEY}\r\n\r\n".encode())
        asked.settimeout(5)
        assert asked.recv(1000) == b""
