"""The output of a dispatch's nodes as lines: all of it, or as it arrives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.errors import LambdaContainerError, harmless

if TYPE_CHECKING:
    from covalent_lambda_container.covalent_api.node_outputs import (
        DispatchOutput,
        NodeKey,
        NodeOutput,
    )

_INTERVAL_S: Final = 1.0
_PATIENCE: Final = 30
"""Retries of a request that the server does not answer."""

_STATE: Final = "state"

_ANCHOR: Final = 256
"""Characters that locate the new part of an output whose middle was left out."""


@dataclass(frozen=True, kw_only=True)
class NodeLine:
    """A line that a node shows.

    Parameters
    ----------
    dispatch_id, node_id, name
        Covalent's names for the node.
    stream
        ``"stdout"``, ``"stderr"``, or ``"state"`` for how its task ended.
    text
        The line, without its line break.
    """

    dispatch_id: str
    node_id: int
    name: str
    stream: str
    text: str


@dataclass
class _Stream:
    """The part of a node's stream that has been shown."""

    shown: str = ""
    rest: str = ""

    def lines(self, text: str, *, ended: bool) -> Iterator[str]:
        """Yield new complete lines; at the end, also an incomplete last line."""
        # Covalent serves a file while it writes it: a prefix of the shown text has nothing new.
        if ended or not self.shown.startswith(text):
            new = news(self.shown, text)
            if new is None:
                # A different text replaced it: start on a new line.
                if self.rest:
                    yield self.rest
                self.rest, new = "", text
            self.shown = text
            *whole, self.rest = (self.rest + new).split("\n")
            yield from whole
        if ended and self.rest:
            yield self.rest
            self.rest = ""


@dataclass
class _Node:
    stdout: _Stream = field(default_factory=_Stream)
    stderr: _Stream = field(default_factory=_Stream)


def news(shown: str, text: str) -> str | None:
    """Return the part of a text that has not been shown; None if it is a different text.

    The text has grown at its end; or its middle was left out because it is long, and it continues
    after the end of what was shown.
    """
    if text.startswith(shown):
        return text[len(shown) :]
    anchor = shown[-_ANCHOR:]
    place = text.rfind(anchor) if len(anchor) == _ANCHOR else -1
    return text[place + len(anchor) :] if place >= 0 else None


def node_lines(
    read: Callable[[set[NodeKey]], DispatchOutput],
    *,
    follow: bool,
    sleep: Callable[[float], object] = time.sleep,
) -> Iterator[NodeLine]:
    """Yield the lines that a dispatch's nodes show; with `follow`, until it has ended.

    Parameters
    ----------
    read
        Returns what all nodes except the given ones show now.
    follow
        Whether to wait for more. How tasks ended is then reported as well.
    sleep
        Replaces `time.sleep` in tests.

    Raises
    ------
    LambdaContainerError
        The server does not answer, or no longer does.
    """
    nodes: dict[NodeKey, _Node] = {}
    done: set[NodeKey] = set()
    failures = 0
    while True:
        try:
            output = read(done)
        except LambdaContainerError:
            failures += 1
            if not nodes or not follow or failures > _PATIENCE:
                raise
        else:
            failures = 0
            for one in output.nodes:
                yield from _lines(nodes.setdefault(one.key, _Node()), one, follow=follow)
                if one.ended:
                    done.add(one.key)
            if output.ended or not follow:
                return
        sleep(_INTERVAL_S)


def _lines(node: _Node, now: NodeOutput, *, follow: bool) -> Iterator[NodeLine]:
    ended = now.ended or not follow
    found = [("stdout", text) for text in node.stdout.lines(now.stdout, ended=ended)]
    found += [("stderr", text) for text in node.stderr.lines(now.stderr, ended=ended)]
    if follow and now.ended:
        found.append((_STATE, now.state.lower()))
    for stream, text in found:
        yield NodeLine(
            dispatch_id=now.dispatch_id,
            node_id=now.node_id,
            name=now.name,
            stream=stream,
            text=text,
        )


def show_nodes(
    dispatch_id: str, node_id: int | None, server: str | None, *, follow: bool, output: Output
) -> None:
    """Print what a dispatch's nodes show, with the node before each line if there are several."""
    from covalent_lambda_container.covalent_api.node_outputs import read_outputs

    def read(known: set[NodeKey]) -> DispatchOutput:
        return read_outputs(dispatch_id, server, node_id=node_id, known=known)

    for line in node_lines(read, follow=follow):
        place = f"{harmless(line.name)} {line.node_id}"
        if line.stream == _STATE:
            # Without --json, it is not part of the tasks' output.
            if output.as_json:
                output.line(asdict(line), "")
            else:
                output.note(f"{place}: {line.text}")
            continue
        text = harmless(line.text)
        if node_id is None:
            text = f"{output.coloured(place, fg='cyan')}  {text}"
        output.line(asdict(line), text)
