"""Removes features of MiniStack's containers that Lambda's execution environments lack."""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc  # type: ignore[import-untyped]


def remove_shared_memory() -> None:
    """Start functions' containers without /dev/shm, as Lambda does.

    MiniStack reads the settings of containers from a line of Docker's flags, and does not support
    ``--ipc none``.
    """
    original = lambda_svc._parse_docker_flags

    def parse(flags: str) -> dict[str, Any]:
        return {**original(flags), "ipc_mode": "none"}

    lambda_svc._parse_docker_flags = parse
