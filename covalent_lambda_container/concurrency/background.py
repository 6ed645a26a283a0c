"""Threads that do parts of a piece of work, and stop with it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.cancellation import Cancellation

Result = TypeVar("Result")


class Background:
    """Threads that do parts of a piece of work.

    Parameters
    ----------
    threads
        Which.
    cancellation
        Stops the parts.
    """

    def __init__(self, threads: ThreadPoolExecutor, cancellation: Cancellation) -> None:
        self._threads = threads
        self._cancellation = cancellation

    def submit(self, part: Callable[..., Result], *args: Any) -> Future[Result]:
        """Have a part done when a thread is free."""
        return self._threads.submit(cancellable.bound(part, self._cancellation), *args)


@contextmanager
def background(workers: int, name: str) -> Iterator[Background]:
    """Have threads while the context is open; what they do is stopped if it is left by a failure.

    Parameters
    ----------
    workers
        How many threads.
    name
        How theirs begin.
    """
    threads = ThreadPoolExecutor(workers, thread_name_prefix=name)
    try:
        with cancellable.parts() as cancellation:
            yield Background(threads, cancellation)
    finally:
        threads.shutdown(cancel_futures=True)


def in_background(
    work: Callable[[], Result], cancellation: Cancellation | None = None
) -> Future[Result]:
    """Run work in a thread that does not keep the process from ending.

    Parameters
    ----------
    cancellation
        Stops it; by default that of the work which this thread does.
    """
    future: Future[Result] = Future()
    stopped = cancellable.bound(work, cancellation or cancellable.current())

    def run() -> None:
        try:
            future.set_result(stopped())
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, name="covalent-lambda-background", daemon=True).start()
    return future
