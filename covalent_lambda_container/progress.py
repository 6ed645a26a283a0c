"""Reports the current step of work to the caller that waits for it.

A step deep in a build calls `report`; the caller that waits for the build receives the reports with
`reported_to`. Outside of that, reports are discarded. Threads do not inherit the receiver.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

ReportProgress = Callable[[str], None]
"""Accepts a few words about the current step: ``"pushing layer 3 of 9, 41 of 85 MB"``."""

_receiver: Final[ContextVar[ReportProgress | None]] = ContextVar("receiver", default=None)


@contextmanager
def reported_to(receiver: ReportProgress) -> Iterator[None]:
    """Pass reports made in this context and thread to a receiver."""
    token = _receiver.set(receiver)
    try:
        yield
    finally:
        _receiver.reset(token)


def report(state: str) -> None:
    """Report the current step."""
    receiver = _receiver.get()
    if receiver is not None:
        receiver(state)
