"""Containers for builds, which run as long as they are needed and are then removed."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import logging
import os
import posixpath
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import docker
from docker.errors import APIError, NotFound

from covalent_lambda_container.adapters.docker.lines import Lines
from covalent_lambda_container.adapters.docker.streams import TAIL_LINES
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.files.archives import Member, archive, unpack
from covalent_lambda_container.files.cache_folder import LONGEST_BUILD_S
from covalent_lambda_container.files.streams import reader
from covalent_lambda_container.model.names import ARCHITECTURES
from covalent_lambda_container.ports.engine import CannotRun, CommandFailed, ImageFile

log = logging.getLogger(__name__)

CONTAINER_LABEL: Final = "covalent-lambda.build"
"""Label of every container started for a build; its value is the process that started it."""

_MOST_LINKS: Final = 8
_KEPT_LINES: Final = 5000
"""Lines of a failed command's output: uv says what failed, and then all that a build has said."""


class DockerContainer:
    """A running container.

    Parameters
    ----------
    engine
        The engine that runs it.
    container_id
        The container's ID.
    """

    def __init__(self, engine: docker.APIClient, container_id: str) -> None:
        self._engine = engine
        self._id = container_id

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        redacted: Callable[[str], str] = str,
    ) -> str:
        """Run a command to its end and return its standard output.

        Parameters
        ----------
        command
            Program and arguments.
        environment
            Variables for this command only.
        redacted
            Removes passwords from lines that are logged or shown.

        Raises
        ------
        CommandFailed
            It fails; the message ends with its last lines.
        """
        started = self._engine.exec_create(
            self._id, list(command), environment=dict(environment or {})
        )["Id"]
        output = bytearray()
        tail: deque[str] = deque(maxlen=_KEPT_LINES)
        streams = Lines(), Lines()

        def keep(lines: list[str]) -> None:
            for line in lines:
                tail.append(redacted(line))
                log.info("build: %s", tail[-1])

        for pieces in self._engine.exec_start(started, stream=True, demux=True):
            output += pieces[0] or b""
            for lines, piece in zip(streams, pieces, strict=True):
                keep(lines.of(piece or b""))
        for lines in streams:
            keep(lines.end())
        status = self._engine.exec_inspect(started)["ExitCode"]
        if status != 0:
            raise CommandFailed(
                f"{command[0]} ended with status {status} in a container of the image.\n"
                + "\n".join([*tail][-TAIL_LINES:]),
                "\n".join(tail),
            )
        return output.decode(errors="replace")

    def put(self, members: Iterable[Member]) -> None:
        """Write files; their names are paths from the root."""
        self._engine.put_archive(self._id, "/", cancellable.checked(archive(members)))

    def get(self, path: str, folder: Path) -> None:
        """Copy the plain files below a folder of the container to one of this machine."""
        stream, _ = self._engine.get_archive(self._id, path)
        unpack(reader(stream), folder)


@contextmanager
def running(
    engine: docker.APIClient, image: str, architecture: str, *, offline: bool
) -> Iterator[DockerContainer]:
    """Run an idle container while the context is open.

    It is removed at the end, even if this process exits meanwhile. If this process is killed, the
    container ends by itself after the longest time that a build may take.

    Raises
    ------
    CannotRun
        The engine cannot run images for the architecture.
    """
    if not _runs(engine, image, architecture):
        raise CannotRun(f"The engine cannot run images for {architecture}.")
    created = _create(
        engine,
        image,
        architecture,
        ["python3", "-c", f"import time; time.sleep({LONGEST_BUILD_S})"],
        user="0",
        host_config=engine.create_host_config(
            auto_remove=True, network_mode="none" if offline else "default"
        ),
    )
    remove = functools.partial(remove_container, engine, created)
    # Builds run in threads that nobody waits for: their own clean-up may not run.
    atexit.register(remove)
    try:
        engine.start(created)
        yield DockerContainer(engine, created)
    finally:
        atexit.unregister(remove)
        remove()


def read_files(
    engine: docker.APIClient, image: str, architecture: str, paths: Sequence[str]
) -> list[ImageFile | None]:
    """Return files of an image without running it, following links."""
    created = _create(engine, image, architecture, ["true"])
    try:
        return [_read(engine, created, path) for path in paths]
    finally:
        remove_container(engine, created)


def remove_container(engine: docker.APIClient, container_id: str) -> None:
    """Remove a container, running or not; an absent one is ignored."""
    # Already removed, or about to be.
    with contextlib.suppress(NotFound, APIError):
        engine.remove_container(container_id, v=True, force=True)


def foreign_platform(engine: docker.APIClient, architecture: str) -> str | None:
    """Return the platform ``linux/…`` for an architecture other than the engine's own, or None."""
    wanted = f"linux/{ARCHITECTURES[architecture]}"
    return None if wanted == f"linux/{engine.version()['Arch']}" else wanted


def _create(
    engine: docker.APIClient,
    image: str,
    architecture: str,
    command: list[str],
    **settings: Any,
) -> str:
    created: str = engine.create_container(
        image,
        entrypoint=command,
        command=[],
        labels={CONTAINER_LABEL: str(os.getpid())},
        platform=foreign_platform(engine, architecture),
        # The first process of a container ignores SIGTERM, and podman waits 10 s for it.
        stop_signal="SIGKILL",
        **settings,
    )["Id"]
    return created


def _runs(engine: docker.APIClient, image: str, architecture: str) -> bool:
    """Return whether the engine runs an image; for another processor, it needs an emulator."""
    if foreign_platform(engine, architecture) is None:
        return True
    created = _create(engine, image, architecture, ["python3", "-c", "pass"])
    try:
        engine.start(created)
        return bool(engine.wait(created)["StatusCode"] == 0)
    except APIError:
        return False
    finally:
        remove_container(engine, created)


def _read(engine: docker.APIClient, container_id: str, path: str) -> ImageFile | None:
    for _ in range(_MOST_LINKS):
        try:
            stream, stat = engine.get_archive(container_id, path)
        except NotFound:
            return None
        # Docker returns a link's target; podman returns every file's own path there.
        target = stat.get("linkTarget") or path
        with tarfile.open(fileobj=io.BytesIO(b"".join(stream))) as opened:
            member = opened.getmembers()[0]
            if not member.issym():
                content = opened.extractfile(member)
                return ImageFile(path=target, content=content.read() if content else b"")
        if target == path:
            target = posixpath.join(posixpath.dirname(path), member.linkname)
        path = target
    return None
