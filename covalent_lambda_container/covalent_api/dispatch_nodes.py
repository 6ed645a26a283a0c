"""The nodes of a dispatch, as Covalent's server stores them: state, times, what they used."""

from __future__ import annotations

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from covalent._shared_files.utils import format_server_url
from covalent._workflow.transportable_object import (
    HEADER_OFFSET,
    TOArchiveUtils,
    TransportableObject,
)

from covalent_lambda_container.covalent_api.dispatch import asked_of
from covalent_lambda_container.covalent_api.manifests import manifest_of, nodes_of, word_of

_STDERR_BYTES: Final = 4 * 1024 * 1024
"""As much of a task's stderr is read; the handler keeps less."""


@dataclass(frozen=True, kw_only=True)
class DispatchNode:
    """One electron that ran on the executor, or is to run there.

    Parameters
    ----------
    dispatch_id, node_id, name
        Covalent's names for it.
    state
        ``"COMPLETED"``, ``"FAILED"``, ``"RUNNING"``, …
    started, ended
        When the executor was called, and when it returned; None if it has not (yet).
    attributes
        The executor's options.
    header
        Of the result's TransportableObject; empty without a result.
    stderr
        What the task wrote there; read only when there is no header.
    """

    dispatch_id: str
    node_id: int
    name: str
    state: str
    started: datetime | None
    ended: datetime | None
    attributes: Mapping[str, Any]
    header: Mapping[str, Any]
    stderr: str


@dataclass(frozen=True, kw_only=True)
class DispatchRecord:
    """A dispatch and its nodes on the executor, those of sublattices included."""

    dispatch_id: str
    name: str
    state: str
    nodes: tuple[DispatchNode, ...]


def read_nodes(dispatch_id: str, server: str | None = None) -> DispatchRecord:
    """Return a dispatch with its electrons on the executor, finished or not.

    Parameters
    ----------
    dispatch_id
        As `covalent.dispatch` returned it.
    server
        URL of Covalent's server; default: that of Covalent's configuration.

    Raises
    ------
    ConfigurationError
        The server does not answer, or has no such dispatch.
    """
    address = server or format_server_url()
    with asked_of(address, dispatch_id):
        manifest = manifest_of(dispatch_id, address)
        return DispatchRecord(
            dispatch_id=dispatch_id,
            name=str(manifest["lattice"]["metadata"]["name"]),
            state=word_of(manifest["metadata"]["status"]),
            nodes=tuple(_node(*found) for found in nodes_of(dispatch_id, address, manifest)),
        )


def _node(dispatch_id: str, node: dict[str, Any]) -> DispatchNode:
    metadata, assets = node["metadata"], node["assets"]
    header = _header(assets["output"])
    return DispatchNode(
        dispatch_id=dispatch_id,
        node_id=int(node["id"]),
        name=str(metadata["name"]),
        state=word_of(metadata["status"]),
        started=_moment(metadata["start_time"]),
        ended=_moment(metadata["end_time"]),
        attributes=(metadata["executor_data"] or {}).get("attributes") or {},
        header=header,
        stderr="" if header else _text(assets.get("stderr")),
    )


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _header(asset: dict[str, Any]) -> dict[str, Any]:
    """Return a value's header, without the value: that may be large."""
    if not asset.get("size") or not asset.get("remote_uri"):
        return {}
    with urllib.request.urlopen(asset["remote_uri"]) as output:  # noqa: S310 - Covalent's own
        start = output.read(HEADER_OFFSET)
        start += output.read(TOArchiveUtils.string_offset(start) - HEADER_OFFSET)
    header: dict[str, Any] = TransportableObject.deserialize(start, header_only=True).header
    return header


def _text(asset: dict[str, Any] | None) -> str:
    if not asset or not asset.get("size") or not asset.get("remote_uri"):
        return ""
    with urllib.request.urlopen(asset["remote_uri"]) as stored:  # noqa: S310 - Covalent's own
        text: bytes = stored.read(_STDERR_BYTES)
    return text.decode("utf-8", "replace")
