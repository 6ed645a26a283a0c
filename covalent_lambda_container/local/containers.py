"""Containers, and their end."""

from __future__ import annotations

import contextlib
from collections.abc import Collection

import docker
import requests


def remove_containers(
    client: docker.DockerClient, *, label: str | None = None, keep: Collection[str] = ()
) -> None:
    """Remove containers whatever they are doing, and their anonymous volumes.

    Errors are passed over. This cleans up after something else: a container that somebody else is
    removing, or an engine that has died, must neither stop it nor hide what went before.

    Parameters
    ----------
    label
        Only those with this label, ``name=value``.
    keep
        Ids of containers to leave alone.
    """
    filters: dict[str, str | list[str] | bool] = {"label": label} if label else {}
    with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
        for container in client.containers.list(all=True, sparse=True, filters=filters):
            if container.id not in keep:
                with contextlib.suppress(docker.errors.APIError):
                    container.remove(force=True, v=True)
