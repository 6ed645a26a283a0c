"""Gives tasks that ran out of memory more of it, up to the option ``max_memory_size``."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Final

from covalent_lambda_container.concurrency.event_loop import BRIEF_BYTES, in_thread
from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.tasks.outcome import Outcome

_REMEMBERED: Final = 1024
"""Most electrons remembered whose tasks needed more memory than their option gives."""


class MemoryGrowth:
    """Chooses how much memory a task gets, and remembers it for the electron's next task.

    Parameters
    ----------
    first_mb
        Memory of a task whose electron has not needed more.
    most_mb
        The most that a task may get; any value below `first_mb`, such as 0, means `first_mb`.
    """

    def __init__(self, first_mb: int, most_mb: int) -> None:
        self._first_mb = first_mb
        self._most_mb = most_mb
        self._needed: OrderedDict[str, int] = OrderedDict()

    async def electron(self, task: Task) -> str:
        """Return a key shared by all tasks of an electron; empty if nothing is remembered."""
        if self._most_mb <= self._first_mb:
            return ""
        if task.payload_bytes <= BRIEF_BYTES:
            return _electron(task)
        return await in_thread(_electron, task)

    def start_mb(self, electron: str) -> int:
        """Return the memory that a task starts with."""
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
    """Return whether a task raised an error that says so, as its function found.

    Only there its class is known: names of others' errors may end alike.
    """
    return bool((outcome.error or {}).get("out_of_memory"))


def _electron(task: Task) -> str:
    """Return a key shared by all tasks of an electron: the hash of its pickled function."""
    return hashlib.sha256(task.payload["function"].encode()).hexdigest()
