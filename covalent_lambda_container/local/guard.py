"""Guards a function's container as its first process: ``python3 -c SOURCE ENTRYPOINT [ARGUMENT]…``.

The runtime interface emulator runs what anybody sends to its port, which other users of the machine
and other containers can reach. Here, it listens on the container's own loopback address only, and
requests from outside need the container's key. Standard library only: it runs in any image.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

KEY_VARIABLE = "COVALENT_LAMBDA_LOCAL_KEY"
KEY_HEADER = "X-Covalent-Lambda-Local-Key"
EMULATOR = "/usr/local/bin/aws-lambda-rie"
PORT = 8080
INNER_PORT = 8081

_HEAD_BYTES = 64 * 1024
_HEAD_TIMEOUT_S = 10
_CHUNK_BYTES = 64 * 1024
_REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def serve(listening: socket.socket, key: str, inner_port: int) -> None:
    """Pass on connections whose first request has the key, each in a thread, for ever."""
    while True:
        outer, _ = listening.accept()
        threading.Thread(target=_serve, args=(outer, key, inner_port), daemon=True).start()


def _serve(outer: socket.socket, key: str, inner_port: int) -> None:
    with contextlib.suppress(OSError), outer:
        outer.settimeout(_HEAD_TIMEOUT_S)
        begin = b""
        while b"\r\n\r\n" not in begin:
            piece = outer.recv(_CHUNK_BYTES)
            begin += piece
            if not piece or len(begin) > _HEAD_BYTES:
                return
        head = begin.partition(b"\r\n\r\n")[0]
        found = re.search(rb"\r\n%s: *([!-~]*)" % KEY_HEADER.encode(), head, re.IGNORECASE)
        if found is None or not hmac.compare_digest(found[1], key.encode()):
            outer.sendall(_REFUSED)
            return
        outer.settimeout(None)
        # Not listening yet: closed without an answer, as Docker does it for a closed port.
        with socket.create_connection(("127.0.0.1", inner_port)) as inner:
            inner.sendall(begin)
            threading.Thread(target=_pass_on, args=(outer, inner), daemon=True).start()
            _pass_on(inner, outer)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(_CHUNK_BYTES):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def main() -> int:
    """Run the emulator behind the guard; return its exit status."""
    key = os.environ.pop(KEY_VARIABLE)
    listening = socket.create_server(("", PORT))
    address = f"127.0.0.1:{INNER_PORT}"
    command = [EMULATOR, "--runtime-interface-emulator-address", address, *sys.argv[1:]]
    emulator = subprocess.Popen(command)

    def terminate(*_: Any) -> None:
        emulator.terminate()

    signal.signal(signal.SIGTERM, terminate)
    threading.Thread(target=serve, args=(listening, key, INNER_PORT), daemon=True).start()
    return emulator.wait()


if __name__ == "__main__":
    sys.exit(main())
