"""The Docker engine: builds, pushes and runs, every line of its streams read."""

from __future__ import annotations

import atexit
import contextlib
import functools
import io
import logging
import os
import tarfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, Final, cast

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from requests.exceptions import RequestException
from rich.text import Text
from urllib3.exceptions import HTTPError

from covalent_lambda_container.errors import ImageBuildError, RegistryError
from covalent_lambda_container.files.archives import Member, archive, unpack
from covalent_lambda_container.files.cache_folder import LONGEST_BUILD_S
from covalent_lambda_container.files.streams import reader
from covalent_lambda_container.model.names import ARCHITECTURES, lambda_architecture
from covalent_lambda_container.packages.index_settings import proxies
from covalent_lambda_container.packages.urls import without_credentials
from covalent_lambda_container.ports.engine import CannotRun, EngineImage, ImageFile, StoredImage
from covalent_lambda_container.ports.registry import RegistryLogin

log = logging.getLogger(__name__)

CONTAINER_LABEL: Final = "covalent-lambda.build"
"""On every container that is started for a build; its value is the process that did it."""

_TAIL_LINES: Final = 50
_MOST_LINKS: Final = 8


class DockerEngine:
    """The engine that docker-py finds: ``DOCKER_HOST``, else the local one."""

    def __init__(self) -> None:
        self._client: docker.DockerClient | None = None

    def find(self, name: str) -> EngineImage | None:
        """Return an image that is in the engine, or None."""
        with self._engine("look for an image") as engine:
            try:
                found: dict[str, Any] = engine.inspect_image(name)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return None
        return EngineImage(
            id=found["Id"],
            architecture=lambda_architecture(found["Architecture"]),
            size=found["Size"],
            labels=found["Config"].get("Labels") or {},
        )

    def pull(self, name: str, architecture: str) -> EngineImage:
        """Pull an image and return it.

        Raises
        ------
        ImageBuildError
            When it cannot be had.
        """
        with self._engine(f"pull the root image {name}") as engine:
            log.info("pull %s", name)
            engine.pull(name, platform=f"linux/{ARCHITECTURES[architecture]}")
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
            The stage to end with; the last one by default.
        no_cache
            Whether to run every instruction, although the engine remembers what it gave.

        Raises
        ------
        ImageBuildError
            When no engine answers or the build fails; the message ends with the build's last lines.
        """
        with self._engine("build an image") as engine:
            stream = engine.build(
                # Whatever can be sent: pieces will do.
                fileobj=cast("IO[bytes]", archive(members)),
                custom_context=True,
                tag=name or None,
                platform=_platform(engine, architecture),
                # Docker keeps the proxies out of an image's history.
                buildargs={**arguments, **proxies()},
                labels=dict(labels),
                target=target or None,
                nocache=no_cache,
                rm=True,
                forcerm=True,
                decode=True,
            )
            return _follow_build(stream, name)

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image and return the ``sha256:…`` digest of its manifest.

        Raises
        ------
        RegistryError
            When the registry refuses any part of it.
        """
        repository, _, tag = name.rpartition(":")
        digest = ""
        with self._engine("push an image") as engine:
            stream = engine.push(
                repository,
                tag=tag,
                stream=True,
                decode=True,
                auth_config={"username": login.username, "password": login.password},
            )
            for record in stream:
                if "error" in record:
                    raise RegistryError(
                        f"Push of {name} was refused: {record['error']}.",
                        hint="Check that the dispatcher's identity may push to the repository: "
                        "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, "
                        "ecr:BatchCheckLayerAvailability, ecr:PutImage.",
                    )
                digest = (record.get("aux") or {}).get("Digest", digest)
        if not digest:
            raise RegistryError(f"Push of {name} ended without a digest: the image is incomplete.")
        return digest

    def remove(self, name: str) -> None:
        """Remove an image, or its tag if other tags name it; an absent one does not matter."""
        with self._engine("remove an image") as engine, contextlib.suppress(ImageNotFound):
            engine.remove_image(name)

    def list_images(self) -> list[StoredImage]:
        """Return all images and the steps of their builds, whoever made them."""
        with self._engine("list its images") as engine:
            in_use = {container["ImageID"] for container in engine.containers(all=True)}
            found = []
            for image in engine.images(all=True):
                # Another process may be faster.
                with contextlib.suppress(ImageNotFound):
                    more: dict[str, Any] = engine.inspect_image(image["Id"])  # type: ignore[no-untyped-call]
                    found.append(
                        StoredImage(
                            id=image["Id"],
                            parent=image["ParentId"],
                            names=_names(image),
                            labels=image["Labels"] or {},
                            layers=tuple(more["RootFS"].get("Layers") or ()),
                            size=image["Size"],
                            made=max(
                                datetime.fromtimestamp(image["Created"], timezone.utc),
                                _time(more["Metadata"]["LastTagTime"]),
                            ),
                            in_use=image["Id"] in in_use,
                        )
                    )
        return found

    def remove_unused(self, name: str, image_id: str) -> bool:
        """Take a name away from an image; without another one, it goes with all that only it needs.

        An image without a name is removed by its ID. One that is not there, or has the name no
        longer, does not matter; False says that the engine needs it.
        """
        with self._engine("remove an image") as engine:
            try:
                found: dict[str, Any] = engine.inspect_image(name)  # type: ignore[no-untyped-call]
                if found["Id"] == image_id:
                    engine.remove_image(name)
            except ImageNotFound:
                return True
            except APIError as exc:
                if exc.status_code != HTTPStatus.CONFLICT:
                    raise
                return False
        return True

    @contextmanager
    def container(
        self, image: str, architecture: str, *, offline: bool = False
    ) -> Iterator[DockerContainer]:
        """Run a container of an image while the context is open.

        One that is ``offline`` has no network, and is there sooner: its interface takes most of the
        time in which a container starts.

        It does nothing by itself, and is gone at the end, also if this process ends meanwhile, and
        an hour later if it is killed.
        """
        with self._engine("run a container") as engine:
            if not _runs(engine, image, architecture):
                raise CannotRun(f"The engine cannot run images for {architecture}.")
            created = engine.create_container(
                image,
                entrypoint=["python3", "-c", f"import time; time.sleep({LONGEST_BUILD_S})"],
                command=[],
                user="0",
                labels={CONTAINER_LABEL: str(os.getpid())},
                host_config=engine.create_host_config(
                    auto_remove=True, network_mode="none" if offline else "default"
                ),
                platform=_platform(engine, architecture),
            )["Id"]
            remove = functools.partial(_remove_container, engine, created)
            # Builds run in threads that nobody waits for: what they would do last, they do not.
            atexit.register(remove)
            try:
                engine.start(created)
                yield DockerContainer(engine, created)
            finally:
                atexit.unregister(remove)
                remove()

    def read(self, image: str, architecture: str, paths: Sequence[str]) -> list[ImageFile | None]:
        """Return files of an image that need not run, each with where its links lead to."""
        with self._engine("read an image") as engine:
            created = _created(engine, image, architecture, ["true"])
            try:
                return [_read(engine, created, path) for path in paths]
            finally:
                _remove_container(engine, created)

    @contextmanager
    def _engine(self, operation: str) -> Iterator[docker.APIClient]:
        """Yield the engine's API; connected once, and anew after a failure."""
        try:
            if self._client is None:
                # A build may be silent for long; docker-py's default of 60 s would end it.
                self._client = docker.from_env(timeout=1800)
            yield self._client.api
        # docker-py lets the errors of the libraries under it through.
        except (DockerException, RequestException, HTTPError) as exc:
            self._client = None
            raise ImageBuildError(
                f"Docker could not {operation}: {exc}",
                hint="Start a Docker engine on the dispatcher's machine (check with 'docker "
                "info'), or set DOCKER_HOST. An engine is needed only for images that are not in "
                "ECR yet: 'covalent-lambda prebuild' puts them there from another machine.",
            ) from exc


class DockerContainer:
    """A running container.

    Parameters
    ----------
    engine
        Where it runs.
    container_id
        Its ID.
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
        """Run a command to its end and return what it wrote to its standard output.

        Parameters
        ----------
        command
            Program and arguments.
        environment
            Variables of this command alone.
        redacted
            Takes passwords out of a line that is to be logged or told.

        Raises
        ------
        ImageBuildError
            When it fails; the message ends with its last lines.
        """
        started = self._engine.exec_create(
            self._id, list(command), environment=dict(environment or {})
        )["Id"]
        output = bytearray()
        tail: deque[str] = deque(maxlen=_TAIL_LINES)
        for written, complained in self._engine.exec_start(started, stream=True, demux=True):
            output += written or b""
            for piece in (written, complained):
                for line in (piece or b"").decode(errors="replace").splitlines():
                    tail.append(redacted(line))
                    log.info("build: %s", tail[-1])
        status = self._engine.exec_inspect(started)["ExitCode"]
        if status != 0:
            raise ImageBuildError(
                f"{command[0]} ended with status {status} in a container of the image.\n"
                + "\n".join(tail)
            )
        return output.decode(errors="replace")

    def put(self, members: Iterable[Member]) -> None:
        """Write files; their names are paths from the root."""
        self._engine.put_archive(self._id, "/", archive(members))

    def get(self, path: str, folder: Path) -> None:
        """Write the plain files below a folder of the container to one of this machine."""
        stream, _ = self._engine.get_archive(self._id, path)
        unpack(reader(stream), folder)


def _names(image: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a listed image; one that was pulled by digest has that."""
    tags, digests = (
        sorted(name for name in image[key] or () if not name.startswith("<none>"))
        for key in ("RepoTags", "RepoDigests")
    )
    return tuple(tags or digests)


def _time(text: str) -> datetime:
    """Read a time of Docker's, to the second: it counts nanoseconds, and Python microseconds."""
    return datetime.fromisoformat(text[: len("2026-11-25T02:07:31")]).replace(tzinfo=timezone.utc)


def _created(engine: docker.APIClient, image: str, architecture: str, command: list[str]) -> str:
    created: str = engine.create_container(
        image,
        entrypoint=command,
        command=[],
        labels={CONTAINER_LABEL: str(os.getpid())},
        platform=_platform(engine, architecture),
    )["Id"]
    return created


def _runs(engine: docker.APIClient, image: str, architecture: str) -> bool:
    """Tell whether the engine runs an image; another processor's needs an emulator."""
    if _platform(engine, architecture) is None:
        return True
    created = _created(engine, image, architecture, ["python3", "-c", "pass"])
    try:
        engine.start(created)
        return bool(engine.wait(created)["StatusCode"] == 0)
    except APIError:
        return False
    finally:
        _remove_container(engine, created)


def _read(engine: docker.APIClient, container_id: str, path: str) -> ImageFile | None:
    for _ in range(_MOST_LINKS):
        try:
            stream, stat = engine.get_archive(container_id, path)
        except NotFound:
            return None
        packed = io.BytesIO(b"".join(stream))
        if not stat["linkTarget"]:
            with tarfile.open(fileobj=packed) as opened:
                content = opened.extractfile(opened.getmembers()[0])
                return ImageFile(path=path, content=content.read() if content else b"")
        path = stat["linkTarget"]
    return None


def _remove_container(engine: docker.APIClient, container_id: str) -> None:
    # Gone, or about to go by itself.
    with contextlib.suppress(NotFound, APIError):
        engine.remove_container(container_id, v=True, force=True)


def _follow_build(stream: Iterable[dict[str, Any]], name: str) -> str:
    """Read a build's stream to its end: failures are reported inside it, with HTTP status 200."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    image_id = ""
    for record in stream:
        # The classic builder paints what a command writes to stderr.
        for line in Text.from_ansi(record.get("stream", "")).plain.splitlines():
            if line.strip():
                # Commands see the proxies, and may show them.
                tail.append(without_credentials(line.rstrip()))
                log.info("build %s: %s", name, tail[-1])
        image_id = (record.get("aux") or {}).get("ID", image_id)
        if "error" in record:
            output = "\n".join(tail)
            reason = without_credentials(record["error"])
            raise ImageBuildError(f"Build of {name} failed: {reason}\n{output}")
    if not image_id:
        raise ImageBuildError(f"Build of {name} ended without an image.\n" + "\n".join(tail))
    return image_id


def _platform(engine: docker.APIClient, architecture: str) -> str | None:
    """Name the platform only where it differs from the engine's own."""
    wanted = f"linux/{ARCHITECTURES[architecture]}"
    return None if wanted == f"linux/{engine.version()['Arch']}" else wanted
