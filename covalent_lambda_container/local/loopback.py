"""Checks that the Docker engine reaches this machine's loopback address, for the local registry.

An engine in a virtual machine (Docker Desktop, colima), on another machine, or in its own network
namespace (rootless) has a different one. This is tested instead of inferred from names.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

import docker

from covalent_lambda_container.adapters.docker.failures import ENGINE_ERRORS
from covalent_lambda_container.errors import LocalStackError

_TLS_HANDSHAKE: Final = 0x16
"""First byte of a TLS connection ("Record layer", RFC 8446, 5.1)."""

_PROBE: Final = "covalent-lambda-probe"


def check_loopback(client: docker.DockerClient) -> None:
    """Check that an engine can use a registry at this machine's loopback address.

    Raises
    ------
    LocalStackError
        It cannot; the message has the reason and advice.
    """
    with _Registry() as registry, contextlib.suppress(*ENGINE_ERRORS):
        stream = client.api.pull(
            f"localhost:{registry.port}/{_PROBE}",
            tag="latest",
            auth_config={},
            stream=True,
            decode=True,
        )
        for _ in stream:
            pass
    if registry.requests:
        return
    if registry.handshakes:
        raise LocalStackError(
            "The container engine speaks only HTTPS to registries at localhost; the local stack's "
            "registry speaks HTTP.",
            hint="Docker accepts plain HTTP from registries at localhost. For podman, see the page "
            "'Engines' of the documentation.",
        )
    raise LocalStackError(
        "The Docker engine does not reach this machine's loopback address, where the local stack's "
        "registry is: the engine runs in a virtual machine, on another machine, or in its own "
        "network (rootless).",
        hint="Run this where the engine runs (for Docker Desktop and colima, inside the virtual "
        "machine or in Linux), or use an engine of this machine with DOCKER_HOST or a Docker "
        "context. Builds for AWS are not affected.",
    )


class _Registry:
    """An empty registry on a free port, which counts connections.

    Attributes
    ----------
    port
        Its port on the loopback address.
    requests
        HTTP requests received.
    handshakes
        Connections that began with TLS.
    """

    def __init__(self) -> None:
        registry = self
        self.requests = 0
        self.handshakes = 0

        class Handler(BaseHTTPRequestHandler):
            def handle(self) -> None:
                first = self.connection.recv(1, socket.MSG_PEEK)
                if first and first[0] == _TLS_HANDSHAKE:
                    registry.handshakes += 1
                    return
                with contextlib.suppress(OSError):
                    super().handle()

            def do_GET(self) -> None:
                registry.requests += 1
                self.send_error(HTTPStatus.NOT_FOUND)

            do_HEAD = do_GET  # noqa: N815 - http.server's name

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_port

    def __enter__(self) -> _Registry:
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
