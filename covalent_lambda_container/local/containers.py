"""Containers, and their end."""

from __future__ import annotations

import contextlib
import http
from collections.abc import Collection

import docker
import requests
from docker.models.containers import Container


def remove_containers(
    client: docker.DockerClient, *, label: str | None = None, keep: Collection[str] = ()
) -> None:
    """Remove containers whatever they are doing, and their anonymous volumes.

    Parameters
    ----------
    label
        Only those with this label, ``name=value``.
    keep
        Ids of containers to leave alone.
    """
    filters: dict[str, str | list[str] | bool] = {"label": label} if label else {}
    # This cleans up after something else: an engine that has died must not hide what that was.
    with contextlib.suppress(docker.errors.DockerException, requests.RequestException):
        for container in client.containers.list(all=True, sparse=True, filters=filters):
            if container.id not in keep:
                _remove(container)


def _remove(container: Container) -> None:
    try:
        container.remove(force=True, v=True)
    except docker.errors.APIError as exc:
        # Gone, or about to be: somebody else removes it.
        if exc.status_code not in (http.HTTPStatus.NOT_FOUND, http.HTTPStatus.CONFLICT):
            raise
