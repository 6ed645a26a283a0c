"""Removes containers."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import docker
import requests


def remove_containers(
    client: docker.DockerClient, *, label: str | None = None, keep: Collection[str] = ()
) -> None:
    """Remove containers, running or not, and their anonymous volumes.

    Errors are ignored. This is clean-up: a container that somebody else is removing, or an engine
    that has stopped, must neither interrupt it nor hide earlier errors.

    Parameters
    ----------
    label
        Only containers with this label, ``name=value``.
    keep
        Ids of containers to keep.
    """
    filters: dict[str, str | list[str] | bool] = {"label": label} if label else {}
    with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
        for container in client.containers.list(all=True, sparse=True, filters=filters):
            if container.id not in keep:
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)
