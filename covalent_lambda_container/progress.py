"""What is being done now, reported to the caller that waits for it.

A step deep in a build reports by `report`; who waits for the build receives it by `reported_to`.
Outside of it, reports go nowhere. Threads that a step starts do not inherit the receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

ReportProgress = Callable[[str], None]
"""Takes a few words on what is done now: ``"pushing layer 3 of 9, 41 of 85 MB"``."""

_receiver: Final[ContextVar[ReportProgress | None]] = ContextVar("receiver", default=None)


@contextmanager
def reported_to(receiver: ReportProgress) -> Iterator[None]:
    """Give what is reported in this context, and in this thread, to a receiver."""
    token = _receiver.set(receiver)
    try:
        yield
    finally:
        _receiver.reset(token)


def report(state: str) -> None:
    """Report what is done now."""
    receiver = _receiver.get()
    if receiver is not None:
        receiver(state)
