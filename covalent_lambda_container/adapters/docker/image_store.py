"""Lists and removes the images of an engine."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound

from covalent_lambda_container.adapters.docker.connection import EngineConnection
from covalent_lambda_container.ports.engine import StoredImage

_IMPLIED_PREFIXES: Final = ("docker.io/library/", "localhost/")
"""podman's prefix for names of images without a registry."""


class DockerImageStore:
    """The images of the engine that builds use.

    Parameters
    ----------
    connection
        Connection to the engine; default: the one that Docker's command line would use.
    """

    def __init__(self, connection: EngineConnection | None = None) -> None:
        self._connection = connection or EngineConnection()

    def list_images(self) -> list[StoredImage]:
        """Return all images and build steps, whoever created them."""
        with self._connection.api("list its images") as engine:
            in_use = {_full_id(container["ImageID"]) for container in engine.containers(all=True)}
            found = []
            for image in engine.images(all=True):
                # Another process may remove it meanwhile.
                with contextlib.suppress(NotFound):
                    found.append(_stored(engine, image, in_use))
        return found

    def remove_unused(self, name: str, image_id: str) -> bool:
        """Remove a name from an image; with the last one, also the image and what only it needs.

        An image without a name is removed by its ID. It is not an error if the image is absent, or
        no longer has the name; False means that the engine needs the image.
        """
        with self._connection.api("remove an image") as engine:
            try:
                found: dict[str, Any] = engine.inspect_image(name)  # type: ignore[no-untyped-call]
                if _full_id(found["Id"]) == image_id:
                    engine.remove_image(name)
            except NotFound:
                return True
            except APIError as exc:
                if exc.status_code != HTTPStatus.CONFLICT:
                    raise
                return False
        return True


def image_size(engine: docker.APIClient, inspected: Mapping[str, Any]) -> int:
    """Return the bytes of an image's layers, uncompressed.

    If containerd stores images, ``Size`` is the compressed size for transfers, and only the history
    has the sizes of unpacked layers. The history of images from other tools may be empty; if Docker
    itself stores images, ``Size`` includes all layers.
    """
    history: Any = engine.history(inspected["Id"])  # type: ignore[no-untyped-call]
    return max(int(inspected["Size"]), sum(int(step["Size"]) for step in history))


def _stored(engine: docker.APIClient, image: Mapping[str, Any], in_use: set[str]) -> StoredImage:
    details: dict[str, Any] = engine.inspect_image(image["Id"])  # type: ignore[no-untyped-call]
    created = datetime.fromtimestamp(image["Created"], timezone.utc)
    tagged = (details.get("Metadata") or {}).get("LastTagTime")
    return StoredImage(
        id=_full_id(image["Id"]),
        parent=_full_id(image.get("ParentId") or ""),
        names=_names(image),
        labels=image.get("Labels") or {},
        layers=tuple(details["RootFS"].get("Layers") or ()),
        size=image_size(engine, details),
        made=max(created, _time(tagged)) if tagged else created,
        in_use=_full_id(image["Id"]) in in_use,
    )


def _full_id(image_id: str) -> str:
    """Return an ID with its algorithm, which podman omits from some."""
    return f"sha256:{image_id}" if image_id and ":" not in image_id else image_id


def _names(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a listed image; an image pulled by digest has its digest as name."""
    tags, digests = (
        sorted(_short(name) for name in image.get(key) or () if not name.startswith("<none>"))
        for key in ("RepoTags", "RepoDigests")
    )
    return tuple(tags or digests)


def _short(name: str) -> str:
    for prefix in _IMPLIED_PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _time(text: str) -> datetime:
    """Parse one of Docker's times to the second: it has nanoseconds, which Python does not."""
    return datetime.fromisoformat(text[: len("2026-11-25T02:07:31")]).replace(tzinfo=timezone.utc)
