"""What the nodes of a dispatch print, as lines: all of it, or as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.cli.task_text import harmless
from covalent_lambda_container.errors import LambdaContainerError

if TYPE_CHECKING:
    from covalent_lambda_container.covalent_api.node_outputs import (
        DispatchOutput,
        NodeKey,
        NodeOutput,
    )

_INTERVAL_S: Final = 1.0
_PATIENCE: Final = 30
"""How many times in a row a server that does not answer is asked again."""

_STATE: Final = "state"

_ANCHOR: Final = 256
"""Characters by which the new part of an output is found whose middle was left out."""


@dataclass(frozen=True, kw_only=True)
class NodeLine:
    """A line that a node shows.

    Parameters
    ----------
    dispatch_id, node_id, name
        Covalent's names for the node.
    stream
        ``"stdout"``, ``"stderr"``, or ``"state"`` for a word on how its task ended.
    text
        Without the end of the line.
    """

    dispatch_id: str
    node_id: int
    name: str
    stream: str
    text: str


@dataclass
class _Stream:
    """One stream of a node, as far as it was shown."""

    shown: str = ""
    rest: str = ""

    def lines(self, text: str, *, ended: bool) -> Iterator[str]:
        """Yield the whole lines that are new; at the end, also what has no end of line."""
        # Covalent serves a file while it writes it: a part of what was shown is nothing new.
        if ended or not self.shown.startswith(text):
            new = news(self.shown, text)
            if new is None:
                # Something else in its place: it begins with a line of its own.
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
    """Return what of a text was not shown before; None if it is another text.

    The text has grown at its end; or it is so long that its middle was left out, and goes on after
    the end of what was shown.
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
    """Yield what the nodes of a dispatch show, and with `follow` what comes until it has ended.

    Parameters
    ----------
    read
        Returns what nodes show now, save those that are given.
    follow
        Whether to wait for more. How tasks ended is then said as well.
    sleep
        Clock, for tests.

    Raises
    ------
    LambdaContainerError
        The server does not answer (any more).
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
    """Print what the nodes of a dispatch show, each line with its node if there are several."""
    from covalent_lambda_container.covalent_api.node_outputs import read_outputs

    def read(known: set[NodeKey]) -> DispatchOutput:
        return read_outputs(dispatch_id, server, node_id=node_id, known=known)

    for line in node_lines(read, follow=follow):
        place = f"{harmless(line.name)} {line.node_id}"
        if line.stream == _STATE:
            # Without --json, it is no part of what the tasks printed.
            if output.as_json:
                output.line(asdict(line), "")
            else:
                output.note(f"{place}: {line.text}")
            continue
        text = harmless(line.text)
        if node_id is None:
            text = f"{output.coloured(place, fg='cyan')}  {text}"
        output.line(asdict(line), text)
