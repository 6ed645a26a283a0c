"""What Lambda's execution environments lack and MiniStack's containers have."""

from __future__ import annotations

from typing import Any

from ministack.services import lambda_svc  # type: ignore[import-untyped]


def remove_shared_memory() -> None:
    """Start functions' containers without /dev/shm, as Lambda does.

    MiniStack reads the settings of containers from a line of Docker's flags, and does not know
    ``--ipc none``.
    """
    original = lambda_svc._parse_docker_flags

    def parse(flags: str) -> dict[str, Any]:
        return {**original(flags), "ipc_mode": "none"}

    lambda_svc._parse_docker_flags = parse
