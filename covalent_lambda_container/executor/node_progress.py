"""Shows in each node the current step of its work, and what its task prints."""

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
"""Least time between updates of a node; nodes that wait no longer than this show nothing."""
_ROUND_S: Final = 0.5
"""Pause between two passes over all nodes."""
_WRITES_PER_SECOND: Final = 5
"""Limit for updates of all nodes together: each is a transaction in Covalent's database."""

WriteOutput = Callable[[str, int, str, str], Awaitable[None]]
"""Replaces a node's output, given dispatch, node, stdout and stderr."""

_NOTHING: Final = Printed("", "")


@dataclass
class Activity:
    """The current step of the work for tasks that wait for the same thing, or for a running task.

    Attributes
    ----------
    text
        ``"installing 12 packages"``; empty if there is nothing to say.
    since
        Epoch seconds.
    printed
        Output of the running task so far, shown instead of the step; None if there is none.
    """

    text: str = ""
    since: float = 0.0
    printed: Printed | None = None

    def report(self, text: str) -> None:
        """Set the current step.

        The part after a colon is progress within the step, and does not change its start time:
        ``"pushing: 3 of 9 layers, 41 of 85 MB"``.
        """
        if text.partition(":")[0] != self.text.partition(":")[0]:
            self.since = time.time()
        self.text = text

    def show(self, printed: Printed) -> None:
        """Show the task's output instead of the step from now on."""
        stdout, stderr = printed
        # Covalent's web page has a place for stderr only.
        between = "\n" if stdout and stderr and not stdout.endswith("\n") else ""
        self.printed = Printed(stdout, f"{stdout}{between}{stderr}")

    def show_below(self, line: str) -> None:
        """Show a line below the task's output."""
        stdout, stderr = self.printed or _NOTHING
        between = "\n" if stderr and not stderr.endswith("\n") else ""
        self.printed = Printed(stdout, f"{stderr}{between}{line}\n")

    @property
    def shown(self) -> Printed:
        """The text for a node's stdout and stderr."""
        return self.printed or Printed(self.line, self.line)

    @property
    def line(self) -> str:
        """The step with its start time."""
        if not self.text:
            return ""
        return f"{self.text} (since {time.strftime('%H:%M:%S', time.gmtime(self.since))} UTC)\n"


@dataclass
class WaitingNode:
    """A node whose task has not ended.

    Attributes
    ----------
    activity
        The current work for it; replaced when it waits for something else.
    began
        When it began to wait, on the monotonic clock.
    written
        The text that the node shows.
    next_write
        Earliest time of its next update.
    """

    activity: Activity = field(default_factory=Activity)
    began: float = field(default_factory=time.monotonic)
    written: Printed = _NOTHING
    next_write: float = 0.0
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def wait_for(self, activity: Activity) -> None:
        """Show a different activity from now on."""
        self.activity = activity


class NodeProgress:
    """Shows the current work in the nodes of one event loop.

    Parameters
    ----------
    write
        Replaces a node's output. Failures are tolerated: another update follows.
    interval_s
        Least time between updates of a node.
    sleep
        Replaces `asyncio.sleep` in tests.
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
        """Show the current work in a node while the context is open.

        Nothing is written after the context has closed. If the task ended, Covalent writes its
        output to the node. If it was interrupted, the node keeps what it had printed; if it never
        began, the node shows nothing in the end.
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
        """Stop writing to a node whose task was cancelled while work for it continues.

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
        """Update the nodes in turn until none remain."""
        try:
            while self._nodes:
                await self._sleep(min(self._interval_s, _ROUND_S))
                for key, node in list(self._nodes.items()):
                    # Measured from the node's start, since steps may change faster than nodes.
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
