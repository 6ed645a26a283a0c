"""The Docker engine as builds use it: finds, pulls, builds and pushes images."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Final, cast

from docker.errors import APIError, NotFound

from covalent_lambda_container.adapters.docker.connection import (
    NOT_PULLED,
    EngineConnection,
    pull,
)
from covalent_lambda_container.adapters.docker.containers import (
    DockerContainer,
    foreign_platform,
    read_files,
    running,
)
from covalent_lambda_container.adapters.docker.failures import reason
from covalent_lambda_container.adapters.docker.image_store import image_size
from covalent_lambda_container.adapters.docker.streams import (
    RegistryUnreachable,
    follow_build,
    follow_push,
    push_error,
)
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member, archive
from covalent_lambda_container.model.names import ARCHITECTURES, lambda_architecture
from covalent_lambda_container.packages.index_settings import proxies
from covalent_lambda_container.ports.engine import EngineImage, ImageFile
from covalent_lambda_container.ports.registry import RegistryLogin

log = logging.getLogger(__name__)

_PUSH_WAITS_S: Final = (1.0, 3.0, 9.0)
"""Pauses between attempts to push to an unreachable registry."""


class DockerEngine:
    """An engine that builds images.

    Parameters
    ----------
    connection
        Connection to the engine; default: the one that Docker's command line would use.
    sleep
        Waits before a push is retried.
    """

    runs_containers = True

    def __init__(
        self,
        connection: EngineConnection | None = None,
        *,
        sleep: Callable[[float], object] = cancellable.sleep,
    ) -> None:
        self._connection = connection or EngineConnection()
        self._sleep = sleep

    def refusal(self) -> ImageBuildError | None:
        """Return why no engine answers, or None if one does."""
        try:
            with self._connection.api("look for an engine") as engine:
                engine.ping()
        except ImageBuildError as exc:
            return exc
        return None

    def find(self, name: str) -> EngineImage | None:
        """Return an image of the engine by name or ID, or None."""
        with self._connection.api("look for an image") as engine:
            try:
                found: dict[str, Any] = engine.inspect_image(name)  # type: ignore[no-untyped-call]
            except NotFound:
                return None
            return EngineImage(
                id=found["Id"],
                architecture=lambda_architecture(found["Architecture"]),
                size=image_size(engine, found),
                labels=(found.get("Config") or {}).get("Labels") or {},
            )

    def pull(self, name: str, architecture: str) -> EngineImage:
        """Pull an image and return it.

        Raises
        ------
        ImageBuildError
            It cannot be pulled.
        """
        with self._connection.client(f"pull the root image {name}", NOT_PULLED) as client:
            log.info("pull %s", name)
            pull(client, name, f"linux/{ARCHITECTURES[architecture]}")
        found = self.find(name)
        if found is None:
            raise ImageBuildError(f"The root image {name} was pulled, but is not in the engine.")
        return found

    def build(
        self,
        members: Iterable[Member],
        name: str,
        *,
        architecture: str,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        target: str = "",
        no_cache: bool = False,
    ) -> str:
        """Build an image, tag it ``name`` unless that is empty, and return its ID.

        Parameters
        ----------
        members
            The build context; the Dockerfile is its member ``Dockerfile``.
        architecture
            ``"x86_64"`` or ``"arm64"``.
        arguments
            Build arguments.
        labels
            The image's labels.
        target
            The stage to build; default: the last one.
        no_cache
            Whether to run every instruction, even if the engine has its result.

        Raises
        ------
        ImageBuildError
            No engine answers or the build fails; the message ends with the build's last lines.
        """
        with self._connection.api("build an image") as engine:
            stream = engine.build(
                # docker-py sends any iterable in chunks.
                fileobj=cast("IO[bytes]", cancellable.checked(archive(members))),
                custom_context=True,
                tag=name or None,
                platform=foreign_platform(engine, architecture),
                # Docker keeps the proxies out of an image's history.
                buildargs={**arguments, **proxies()},
                labels=dict(labels),
                target=target or None,
                nocache=no_cache,
                rm=True,
                forcerm=True,
                decode=True,
            )
            return follow_build(stream, name)

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image and return the ``sha256:…`` digest of its manifest.

        A push to an unreachable registry is retried; layers that were uploaded remain there.

        Raises
        ------
        RegistryError
            The registry refuses any part of the image, or cannot be reached.
        """
        waits_s = list(_PUSH_WAITS_S)
        while True:
            try:
                return self._push(name, login)
            except RegistryUnreachable as exc:  # noqa: PERF203 - attempts are few
                if not waits_s:
                    raise
                log.warning("%s Trying again in %.0f s.", exc.message, waits_s[0])
                self._sleep(waits_s.pop(0))

    def _push(self, name: str, login: RegistryLogin) -> str:
        repository, _, tag = name.rpartition(":")
        with self._connection.api("push an image") as engine:
            try:
                stream = engine.push(
                    repository,
                    tag=tag,
                    stream=True,
                    decode=True,
                    auth_config={"username": login.username, "password": login.password},
                )
            # podman reports errors before the first layer as a status, not in the stream.
            except APIError as exc:
                raise push_error(name, reason(exc)) from exc
            return follow_push(stream, name)

    def remove(self, name: str) -> None:
        """Remove an image, or only its tag if it has others; an absent one is ignored."""
        with (
            self._connection.api("remove an image") as engine,
            contextlib.suppress(NotFound),
        ):
            engine.remove_image(name)

    @contextmanager
    def container(
        self, image: str, architecture: str, *, offline: bool = False
    ) -> Iterator[DockerContainer]:
        """Run an idle container of an image while the context is open.

        An ``offline`` container has no network and starts faster: setting up the interface takes
        most of a container's start.

        Raises
        ------
        CannotRun
            The engine cannot run images for the architecture.
        """
        with (
            self._connection.api("run a container") as engine,
            running(engine, image, architecture, offline=offline) as container,
        ):
            yield container

    def read(self, image: str, architecture: str, paths: Sequence[str]) -> list[ImageFile | None]:
        """Return files of an image without running it, following links."""
        with self._connection.api("read an image") as engine:
            return read_files(engine, image, architecture, paths)
