"""What is being done for nodes is shown in them, and what their tasks print."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from covalent_lambda_container.tasks.live_output import Printed

INTERVAL_S: Final = 2.0
"""A node is updated at most this often; one that waits no longer shows nothing."""
_ROUND_S: Final = 0.5
"""Pause between two looks at all nodes."""
_WRITES_PER_SECOND: Final = 5
"""Updates of all nodes together: each is a transaction in Covalent's database."""

WriteOutput = Callable[[str, int, str, str], Awaitable[None]]
"""Replaces a node's output, given dispatch, node, stdout and stderr."""

_NOTHING: Final = Printed("", "")


@dataclass
class Activity:
    """What is being done for tasks that wait for the same thing, or for one that runs.

    Attributes
    ----------
    text
        ``"installing 12 packages"``; empty if there is nothing to say.
    since
        Epoch seconds.
    printed
        What the running task has printed, as it is shown instead; None if it has printed nothing.
    """

    text: str = ""
    since: float = 0.0
    printed: Printed | None = None

    def report(self, text: str) -> None:
        """Say what is being done from now on.

        What comes after a colon is how far it is, and changes nothing about since when it is done:
        ``"pushing: 3 of 9 layers, 41 of 85 MB"``.
        """
        if text.partition(":")[0] != self.text.partition(":")[0]:
            self.since = time.time()
        self.text = text

    def show(self, printed: Printed) -> None:
        """Show what the task has printed from now on."""
        stdout, stderr = printed
        # Covalent's web page has a place for stderr only.
        between = "\n" if stdout and stderr and not stdout.endswith("\n") else ""
        self.printed = Printed(stdout, f"{stdout}{between}{stderr}")

    @property
    def shown(self) -> Printed:
        """What a node's stdout and stderr are to show."""
        return self.printed or Printed(self.line, self.line)

    @property
    def line(self) -> str:
        """The text with the time since when."""
        if not self.text:
            return ""
        return f"{self.text} (since {time.strftime('%H:%M:%S', time.gmtime(self.since))} UTC)\n"


@dataclass
class WaitingNode:
    """A node whose task has not ended.

    Attributes
    ----------
    activity
        What is being done for it; replaced when it waits for something else.
    began
        When it began to wait, by the monotonic clock.
    written
        What the node shows.
    next_write
        When it may be updated again.
    """

    activity: Activity = field(default_factory=Activity)
    began: float = field(default_factory=time.monotonic)
    written: Printed = _NOTHING
    next_write: float = 0.0
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

        Nothing is written after it has been left. The node of a task that ended is given its output
        by Covalent. One whose task broke off keeps what that had printed; one whose task did not
        begin shows nothing in the end.
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
                last = node.activity.printed or _NOTHING
                if node.written != last:
                    await self._replace(key, node, last)
            raise
        finally:
            self._nodes.pop(key, None)
            async with node.writing:
                pass

    async def leave(self, dispatch_id: str, node_id: int) -> Printed:
        """Write nothing more to a node, whose task was cancelled while work for it goes on.

        Returns
        -------
        Printed
            The task's output so far, as the node shows it.
        """
        node = self._nodes.pop((dispatch_id, node_id), None)
        if node is None:
            return _NOTHING
        async with node.writing:
            printed = node.activity.printed or _NOTHING
            node.written = _NOTHING
            node.activity = Activity()
        return printed

    async def _update_all(self) -> None:
        """Update the nodes in turn until none is left."""
        try:
            while self._nodes:
                await self._sleep(min(self._interval_s, _ROUND_S))
                for key, node in list(self._nodes.items()):
                    # Not how long the step has lasted: steps may change faster than nodes do.
                    if time.monotonic() < max(node.began + self._interval_s, node.next_write):
                        continue
                    shown = node.activity.shown
                    if shown in (_NOTHING, node.written):
                        continue
                    async with node.writing:
                        if key in self._nodes:
                            await self._replace(key, node, shown)
                    node.next_write = time.monotonic() + self._interval_s
                    await self._sleep(1 / _WRITES_PER_SECOND)
        finally:
            self._rounds = None

    async def _replace(self, key: tuple[str, int], node: WaitingNode, shown: Printed) -> None:
        with contextlib.suppress(Exception):
            await self._write(*key, *shown)
            node.written = shown
