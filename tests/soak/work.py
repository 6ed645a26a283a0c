"""The tasks of a soak, and who counts their executions."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

SIZES = {"large": 7_000_000}
KINDS = (
    *("instant",) * 6,
    *("short",) * 4,
    *("long",) * 3,
    *("printing", "raising", "exiting", "large", "cancelled"),
    "timed out",
    "sublattice",
)


def work(name: str, port: int, kind: str, seconds: float, size: int) -> bytes:
    """Knock, do what the kind says, and knock again before the end."""
    import os
    import socket
    import time

    def knock(word: str) -> None:
        for _ in range(5):
            try:
                with socket.create_connection(("host.docker.internal", port), 5) as connection:
                    connection.sendall(f"{word} {name} {socket.gethostname()}".encode())
                return
            except OSError:
                time.sleep(0.2)

    knock("begin")
    if kind == "printing":
        for number in range(2000):
            print(f"line {number} of {name}")
    if kind == "raising":
        knock("end")
        raise ValueError(f"raised by {name}")
    if kind == "exiting":
        os._exit(3)
    time.sleep(seconds)
    knock("end")
    return name.encode() + bytes(size)


@dataclass
class Marks:
    """Counts executions, outside of what is tested.

    Attributes
    ----------
    begun, ended
        How often each task began and ended.
    containers
        The container that ran each task.
    """

    begun: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    containers: dict[str, str] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.Lock)

    def listen(self, server: socket.socket) -> None:
        """Take knocks until the socket is shut down."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                threading.Thread(target=self._note, args=(connection,), daemon=True).start()

    def _note(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, ValueError):
            connection.settimeout(10)
            word, name, container = connection.recv(200).decode().split(" ")
            with self.lock:
                (self.begun if word == "begin" else self.ended)[name] += 1
                self.containers[name] = container
