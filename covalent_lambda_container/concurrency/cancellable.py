"""Blocking work that stops at once when nobody wants it any more.

Steps deep in such work find its cancellation here, as they find who to report to in `progress`.
Outside of `under`, nothing is cancelled. Threads that a step starts do not inherit it: see `bound`.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled

Result = TypeVar("Result")

_current: Final[ContextVar[Cancellation | None]] = ContextVar("cancellation", default=None)


def current() -> Cancellation | None:
    """Return the cancellation of the work that this thread does, or None."""
    return _current.get()


@contextmanager
def under(cancellation: Cancellation | None) -> Iterator[None]:
    """Have what this thread does in the context stopped by a cancellation.

    Raises
    ------
    Cancelled
        The work was cancelled: also in the place of the failure that this led to.
    """
    token = _current.set(cancellation)
    try:
        with _failure_of(cancellation):
            yield
    finally:
        _current.reset(token)


def bound(work: Callable[..., Result], cancellation: Cancellation | None) -> Callable[..., Result]:
    """Return a work that does the same under a cancellation, in whatever thread."""

    def run(*args: Any) -> Result:
        with under(cancellation):
            return work(*args)

    return run


@contextmanager
def parts() -> Iterator[Cancellation]:
    """Have a cancellation for parts of the work that other threads do.

    It is requested when the work is cancelled, and when the context is left by a failure.
    """
    cancellation, whole = Cancellation(), current()
    forget = whole.on_request(cancellation.request) if whole is not None else None
    try:
        yield cancellation
    except BaseException:
        cancellation.request()
        raise
    finally:
        if forget is not None:
            forget()


def check() -> None:
    """Raise `Cancelled` if the work of this thread was cancelled."""
    cancellation = current()
    if cancellation is not None:
        cancellation.check()


def checked(pieces: Iterable[Result]) -> Iterator[Result]:
    """Yield pieces until the work is cancelled; then raise `Cancelled`."""
    for piece in pieces:
        check()
        yield piece


@contextmanager
def stopped_by(stop: Callable[[], object]) -> Iterator[None]:
    """Have something called that ends what the context waits for, when the work is cancelled.

    Parameters
    ----------
    stop
        Called by another thread, perhaps when the context has just been left.

    Raises
    ------
    Cancelled
        The work was cancelled: also in the place of the failure that this led to.
    """
    cancellation = current()
    if cancellation is None:
        yield
        return
    forget = cancellation.on_request(stop)
    try:
        with _failure_of(cancellation):
            yield
    finally:
        forget()


def sleep(seconds: float) -> None:
    """Sleep, until the work is cancelled at most; then raise `Cancelled`."""
    if current() is None:
        time.sleep(seconds)
        return
    over = threading.Event()
    with stopped_by(over.set):
        over.wait(seconds)
        check()


def result(future: Future[Result]) -> Result:
    """Return a future's result, or raise its exception; `Cancelled` when the work is cancelled."""
    check()
    if current() is None or future.done():
        return future.result()
    over: Future[None] = Future()
    with stopped_by(partial(over.set_result, None)):
        waited_for: list[Future[Any]] = [future, over]
        concurrent.futures.wait(waited_for, return_when=concurrent.futures.FIRST_COMPLETED)
        check()
        return future.result()


@contextmanager
def _failure_of(cancellation: Cancellation | None) -> Iterator[None]:
    try:
        yield
    except Cancelled:
        raise
    except Exception as exc:
        if cancellation is not None and cancellation.requested:
            raise Cancelled from exc
        raise
