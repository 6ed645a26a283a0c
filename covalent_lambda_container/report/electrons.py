"""The electrons of a dispatch, with the usage of each."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from covalent_lambda_container.covalent_api.dispatch_nodes import DispatchNode
from covalent_lambda_container.covalent_api.transport import USAGE
from covalent_lambda_container.tasks.usage import Usage, parse_line

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, kw_only=True)
class Electron:
    """One electron.

    Parameters
    ----------
    dispatch_id, node_id, name
        Covalent's identifiers of the electron, and its name without control characters.
    state
        Covalent's name of its state.
    started, ended
        When the executor was called, and when it returned.
    used
        Its task's usage; None if it has not ended, or did not report it.
    timeout_s
        The option `timeout`.
    """

    dispatch_id: str
    node_id: int
    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    used: Usage | None
    timeout_s: int

    @property
    def elapsed_s(self) -> float | None:
        """Seconds from the executor's call to its return."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    @property
    def wait_s(self) -> float | None:
        """Seconds in which the task was not running: image, function, Lambda, data, Covalent."""
        if self.elapsed_s is None or self.used is None:
            return None
        return max(0.0, self.elapsed_s - self.used.duration_ms / 1000)


def electrons_of(nodes: Sequence[DispatchNode]) -> list[Electron]:
    """Return a dispatch's electrons in the order in which they started.

    Nodes that need no function, such as lists of outputs, are excluded.
    """
    found = [_electron(node) for node in nodes]
    shown = [one for one in found if one.used or not one.name.startswith(":")]
    far = max((one.started for one in shown if one.started), default=None)
    return sorted(shown, key=lambda one: ((one.started or far) is None, one.started or far))


def printable(name: str) -> str:
    """Return a name without control characters, shortened."""
    return _CONTROL.sub(" ", name)[:200]


def _electron(node: DispatchNode) -> Electron:
    used = recorded_usage(node) or parse_line(
        node.stderr,
        architecture=_option(node, "architecture", "x86_64"),
        ephemeral_storage_mb=_option(node, "ephemeral_storage", 512),
        timeout_s=_option(node, "timeout", 60),
    )
    return Electron(
        dispatch_id=node.dispatch_id,
        node_id=node.node_id,
        name=printable(node.name),
        state=node.state,
        started=node.started,
        ended=node.ended,
        used=used,
        timeout_s=used.timeout_s if used else _option(node, "timeout", 60),
    )


def recorded_usage(node: DispatchNode) -> Usage | None:
    """Return what the node's own task used, as the header of its result records it.

    A value that was passed on, by post-processing or a redispatch, has another task's record.
    """
    record = node.header.get(USAGE)
    if (
        not isinstance(record, Mapping)
        or record.get("task") != f"{node.dispatch_id}:{node.node_id}"
    ):
        return None
    return Usage.from_record(record)


def _option(node: DispatchNode, name: str, default: Any) -> Any:
    value = node.attributes.get(name)
    return value if isinstance(value, type(default)) else default
