"""Stops container starts: containers that MiniStack starts while it stops would remain."""

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.services import lambda_svc  # type: ignore[import-untyped]


class ContainerStarts:
    """Counts the starts of functions' containers, and refuses them once closed.

    MiniStack starts each container in a thread, which removing all containers does not stop: it
    must have ended before.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running = 0
        self._closed = False

    def install(self) -> None:
        """Put this before MiniStack's function that starts containers."""
        original = lambda_svc._spawn_lambda_container_impl

        def start(*arguments: Any, **options: Any) -> Any:
            with self._changed:
                if self._closed:
                    raise RuntimeError("The local stack is stopping.")
                self._running += 1
            try:
                return original(*arguments, **options)
            finally:
                with self._changed:
                    self._running -= 1
                    self._changed.notify_all()

        lambda_svc._spawn_lambda_container_impl = start

    def close(self, timeout_s: float) -> None:
        """Refuse further starts, and wait until running ones have ended, or for a limited time."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            self._closed = True
            while self._running and (left_s := deadline - time.monotonic()) > 0:
                self._changed.wait(left_s)
