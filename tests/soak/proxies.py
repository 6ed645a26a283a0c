"""The breaking proxies in a separate process: their memory is not the dispatcher's.

They hold whole requests and answers in many threads, and the allocator keeps for each thread what
it once needed. In the dispatcher's process that would look like a leak of the dispatcher's.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any

from tests.soak.proxy import ERROR_LOST, PASS, BreakingProxy

_OBJECT_OF_NODE = re.compile(r"/soak/(\d+)-")


class Proxies:
    """Proxies before Lambda and before S3, while the context is open.

    Parameters
    ----------
    endpoint
        The stack's.
    for_lambda, for_s3
        Sockets that listen; they are closed here, and served there.
    noted
        Is given each fault that happened, and the node that it happened to; None for others.
    """

    def __init__(
        self,
        endpoint: str,
        for_lambda: list[socket.socket],
        for_s3: list[socket.socket],
        noted: Callable[[str, int | None], None],
    ) -> None:
        listeners = [*for_lambda, *for_s3]
        lists = [",".join(str(one.fileno()) for one in some) for some in (for_lambda, for_s3)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.soak.proxies", endpoint, *lists],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[one.fileno() for one in listeners],
        )
        for listener in listeners:
            listener.close()
        threading.Thread(target=self._read, args=(noted,), daemon=True).start()

    def break_lambda(self, faults: list[str]) -> None:
        """Have the next invocations meet these faults, the last one first."""
        self._order({"lambda": faults})

    def break_s3(self, fault: str, seconds: float) -> None:
        """Have all requests of S3 meet a fault for so long."""
        self._order({"s3": fault, "seconds": seconds})

    def __enter__(self) -> Proxies:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        self._process.wait()
        assert self._process.stdin
        with suppress(OSError):
            self._process.stdin.close()

    def _order(self, order: dict[str, Any]) -> None:
        assert self._process.stdin
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _read(self, noted: Callable[[str, int | None], None]) -> None:
        assert self._process.stdout
        with self._process.stdout as lines:
            for line in lines:
                noted(*json.loads(line))


class _Faults:
    """The behaviour of the proxies for the next requests."""

    def __init__(self) -> None:
        self._lambda: list[str] = []
        self._s3, self._s3_until = PASS, 0.0

    def take(self, order: dict[str, Any]) -> None:
        if "lambda" in order:
            self._lambda = list(order["lambda"])
        else:
            self._s3, self._s3_until = order["s3"], time.monotonic() + order["seconds"]

    def of_lambda(self, path: str, body: bytes) -> str:
        if not path.endswith("/invocations") or not self._lambda:
            return PASS
        return self._noted(self._lambda.pop(), _node_of(body))

    def error_lost(self, body: bytes) -> None:
        self._noted(ERROR_LOST, _node_of(body))

    def of_s3(self, path: str, _: bytes) -> str:
        if time.monotonic() >= self._s3_until:
            return PASS
        node = _OBJECT_OF_NODE.search(path)
        return self._noted(self._s3, int(node[1]) if node else None)

    def _noted(self, fault: str, node: int | None) -> str:
        sys.stdout.write(json.dumps([fault, node]) + "\n")
        sys.stdout.flush()
        return fault


def _node_of(event: bytes) -> int | None:
    node: int | None = json.loads(event).get("node_id")
    return node


def main(endpoint: str, for_lambda: str, for_s3: str) -> None:
    """Serve until standard input ends."""
    faults = _Faults()
    with ExitStack() as cleanup:
        for numbers, choose in ((for_lambda, faults.of_lambda), (for_s3, faults.of_s3)):
            for number in numbers.split(","):
                listener = socket.socket(fileno=int(number))
                proxy = BreakingProxy(endpoint, listener, choose, faults.error_lost)
                cleanup.enter_context(proxy.running())
        for line in sys.stdin:
            faults.take(json.loads(line))


if __name__ == "__main__":
    main(*sys.argv[1:])
