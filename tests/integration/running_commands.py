"""What runs in the engine's containers, which other tests have, too."""

from __future__ import annotations

import contextlib

import docker


def is_running(marker: str) -> bool:
    """Return whether a container runs a command line with this marker."""
    with contextlib.closing(docker.from_env()) as client:
        for container in client.containers.list(ignore_removed=True):
            with contextlib.suppress(docker.errors.APIError):
                # None for one that is just ending.
                processes = container.top()["Processes"] or []
                if any(marker in " ".join(line) for line in processes):
                    return True
    return False
