"""More memory for tasks that ran out of it, as the option ``max_memory_size`` allows."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from covalent_lambda_container.concurrency.event_loop import BRIEF_BYTES, in_thread
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.tasks.outcome import Outcome

_REMEMBERED: Final = 1024
"""Electrons whose tasks have needed more memory than their option gives."""


class MemoryGrowth:
    """Says how much memory a task gets, and remembers it for the next task of the same electron.

    Parameters
    ----------
    first_mb
        Memory of a task whose electron has not needed more.
    most_mb
        The most that a task may get; 0, and all below `first_mb`, for no more than `first_mb`.
    """

    def __init__(self, first_mb: int, most_mb: int) -> None:
        self._first_mb = first_mb
        self._most_mb = most_mb
        self._needed: OrderedDict[str, int] = OrderedDict()

    async def electron(self, task: Task) -> str:
        """Return what all tasks of an electron have in common; empty if nothing is remembered."""
        if self._most_mb <= self._first_mb:
            return ""
        if task.payload_bytes <= BRIEF_BYTES:
            return _electron(task)
        return await in_thread(_electron, task)

    def start_mb(self, electron: str) -> int:
        """Return the memory that a task begins with."""
        return self._needed.get(electron, self._first_mb)

    def more_mb(self, electron: str, memory_mb: int) -> int | None:
        """Return the memory for a task that ran out of `memory_mb`; None if it gets no more."""
        if memory_mb >= self._most_mb:
            return None
        more = min(2 * memory_mb, self._most_mb)
        self._needed[electron] = max(more, self._needed.pop(electron, 0))
        if len(self._needed) > _REMEMBERED:
            self._needed.popitem(last=False)
        return more


def ran_out(outcome: Outcome) -> bool:
    """Tell whether a task has raised Python's MemoryError, or one of a library's."""
    error = outcome.error or {}
    return str(error.get("type", "")).endswith("MemoryError")


def _electron(task: Task) -> str:
    """Return what all tasks of an electron have in common: its function, with what it was told."""
    return hashlib.sha256(task.payload["function"].encode()).hexdigest()
