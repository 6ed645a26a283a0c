"""What is being done for nodes that wait is shown in them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

INTERVAL_S: Final = 2.0
"""A node is updated at most this often; one that waits no longer shows nothing."""
_WRITES_PER_SECOND: Final = 5
"""Updates of all nodes together: each is a transaction in Covalent's database."""

WriteOutput = Callable[[str, int, str], Awaitable[None]]
"""Replaces a node's output, given dispatch, node and text."""


@dataclass
class Activity:
    """What is being done for tasks that wait for the same thing.

    Attributes
    ----------
    text
        ``"installing 12 packages"``; empty if there is nothing to say.
    since
        Epoch seconds.
    """

    text: str = ""
    since: float = 0.0

    def report(self, text: str) -> None:
        """Say what is being done from now on.

        What comes after a colon is how far it is, and changes nothing about since when it is done:
        ``"pushing: 3 of 9 layers, 41 of 85 MB"``.
        """
        if text.partition(":")[0] != self.text.partition(":")[0]:
            self.since = time.time()
        self.text = text

    @property
    def line(self) -> str:
        """The text with the time since when."""
        if not self.text:
            return ""
        return f"{self.text} (since {time.strftime('%H:%M:%S', time.gmtime(self.since))} UTC)\n"


@dataclass
class WaitingNode:
    """A node whose task has not begun.

    Attributes
    ----------
    activity
        What is being done for it; replaced when it waits for something else.
    began
        When it began to wait, by the monotonic clock.
    written
        What the node shows.
    """

    activity: Activity = field(default_factory=Activity)
    began: float = field(default_factory=time.monotonic)
    written: str = ""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wait_for(self, activity: Activity) -> None:
        """Show what another activity says from now on."""
        self.activity = activity


class NodeProgress:
    """Shows what is being done in the nodes of one event loop.

    Parameters
    ----------
    write
        Replaces a node's output. It may fail: the next update follows.
    interval_s
        How often a node is updated at most.
    sleep
        Clock, for tests.
    """

    def __init__(
        self,
        write: WriteOutput,
        *,
        interval_s: float = INTERVAL_S,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._write = write
        self._interval_s = interval_s
        self._sleep = sleep
        self._nodes: dict[tuple[str, int], WaitingNode] = {}
        self._rounds: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def shown(self, dispatch_id: str, node_id: int) -> AsyncIterator[WaitingNode]:
        """Show in a node what is being done, while the context is open.

        Nothing is written after it has been left. A node whose task failed before it began shows
        nothing in the end; that of any other task is given its output by Covalent.
        """
        key, node = (dispatch_id, node_id), WaitingNode()
        self._nodes[key] = node
        if self._rounds is None:
            self._rounds = asyncio.create_task(self._update_all())
        try:
            yield node
        except BaseException:
            self._nodes.pop(key, None)
            async with node.writing:
                if node.written:
                    await self._replace(key, node, "")
            raise
        finally:
            self._nodes.pop(key, None)
            async with node.writing:
                pass

    async def leave(self, dispatch_id: str, node_id: int) -> None:
        """Write nothing more to a node, whose task was cancelled while work for it goes on."""
        node = self._nodes.pop((dispatch_id, node_id), None)
        if node is not None:
            async with node.writing:
                node.written = ""

    async def _update_all(self) -> None:
        """Update the nodes in turn until none is left."""
        try:
            while self._nodes:
                await self._sleep(self._interval_s)
                for key, node in list(self._nodes.items()):
                    line = node.activity.line
                    # Not how long the step has lasted: steps may change faster than nodes do.
                    waited_s = time.monotonic() - node.began
                    if line in ("", node.written) or waited_s < self._interval_s:
                        continue
                    async with node.writing:
                        if key in self._nodes:
                            await self._replace(key, node, line)
                    await self._sleep(1 / _WRITES_PER_SECOND)
        finally:
            self._rounds = None

    async def _replace(self, key: tuple[str, int], node: WaitingNode, text: str) -> None:
        with contextlib.suppress(Exception):
            await self._write(*key, text)
            node.written = text
