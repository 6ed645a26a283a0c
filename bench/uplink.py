"""A slow uplink: forwards connections to an address, and counts and throttles sent bytes."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

_CHUNK_BYTES: Final = 16 << 10


class Uplink:
    """Listens on this machine, and passes on to a port of it.

    Parameters
    ----------
    port
        Where it passes connections on to.

    Attributes
    ----------
    sent_bytes
        Bytes that clients have sent, on all connections.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._bytes_per_s = 0.0
        self._free_at = 0.0
        self.sent_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])

    @contextmanager
    def throttled(self, megabits_per_s: float) -> Iterator[None]:
        """Let clients send so much at most, all together, while the context is open."""
        self._bytes_per_s = megabits_per_s * 1e6 / 8
        try:
            yield
        finally:
            self._bytes_per_s = 0.0

    def serve(self) -> None:
        """Pass connections on until `close`."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Accept no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            back = threading.Thread(target=_pass_on, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError):
                while piece := client.recv(_CHUNK_BYTES):
                    self._wait_for_turn(len(piece))
                    server.sendall(piece)
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _wait_for_turn(self, size: int) -> None:
        with self._lock:
            self.sent_bytes += size
            if not self._bytes_per_s:
                return
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + size / self._bytes_per_s
            wait_s = self._free_at - now
        time.sleep(wait_s)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_CHUNK_BYTES * 16):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def uplink(port: int) -> Iterator[Uplink]:
    """Have an uplink to a port of this machine while the context is open."""
    made = Uplink(port)
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.close()
        thread.join()
