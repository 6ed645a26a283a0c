"""Dispatches as Covalent stores them, for tests of reports."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from covalent_lambda_container.covalent_api.dispatch_nodes import DispatchNode, DispatchRecord
from covalent_lambda_container.tasks.usage import Usage

START = datetime(2026, 11, 28, 9, 0, tzinfo=timezone.utc)
IMAGE = "sha256:" + "1" * 64


def usage(**changes: Any) -> Usage:
    fields: dict[str, Any] = {
        "duration_ms": 2000.0,
        "billed_ms": 2100,
        "billed_reported": True,
        "cold": False,
        "peak_memory_mb": 400.0,
        "memory_mb": 1024,
        "architecture": "x86_64",
        "ephemeral_storage_mb": 512,
        "timeout_s": 60,
        "region": "us-east-1",
        "image": IMAGE,
    }
    return Usage(**fields | changes)


def node(
    node_id: int = 0,
    used: Usage | None = None,
    *,
    start_s: float = 0,
    took_s: float = 3,
    **more: Any,
) -> DispatchNode:
    fields: dict[str, Any] = {
        "dispatch_id": "d",
        "node_id": node_id,
        "name": "train",
        "state": "COMPLETED",
        "started": START + timedelta(seconds=start_s),
        "ended": START + timedelta(seconds=start_s + took_s),
        "attributes": {},
        "header": {"usage": (used or usage()).record | {"task": f"d:{node_id}"}},
        "stderr": "",
        "error": "",
    }
    return DispatchNode(**fields | more)


def dispatch(*nodes: DispatchNode, name: str = "workflow") -> DispatchRecord:
    return DispatchRecord(dispatch_id="d", name=name, state="COMPLETED", nodes=nodes)
