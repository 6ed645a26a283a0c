"""The Docker engine: builds and pushes, every line of its streams read."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

import docker
from docker.errors import APIError, DockerException
from docker.utils import parse_repository_tag
from requests.exceptions import RequestException
from rich.text import Text
from urllib3.exceptions import HTTPError

from covalent_lambda_container.dockerfile import InstallSettings, base_context, task_context
from covalent_lambda_container.errors import ImageBuildError, RegistryError, VersionMismatch
from covalent_lambda_container.ports import RegistryLogin
from covalent_lambda_container.spec import ImageSpec

log = logging.getLogger(__name__)

_TAIL_LINES: Final = 50
_WRONG_PYTHON: Final = 64
"""Exit status of templates/install-interface.sh for a root image with another Python."""
_BASE_NAME: Final = "covalent-lambda-base"
_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_PLATFORMS: Final = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}


class DockerImageBuilder:
    """Builds task images and pushes them.

    Parameters
    ----------
    settings
        How pip reaches its index during a build.
    """

    def __init__(self, settings: InstallSettings) -> None:
        self._settings = settings
        self._client: docker.DockerClient | None = None

    def build(self, spec: ImageSpec, name: str, *, anew: bool = False) -> None:
        """Build the image of a spec and tag it ``name`` in the local engine.

        With `anew`, from nothing that earlier builds have left, and on what the root image's name
        stands for now.

        Raises
        ------
        ImageBuildError
            When no engine answers or the build fails; the message ends with the build's last lines.
        VersionMismatch
            When the root image has another Python than the client.
        """
        with self._engine("build an image") as engine:
            if anew:
                _pull(engine, spec)
            base = self._build_base(engine, spec)
            archive = task_context(spec, self._settings).archive
            _run(engine, archive, spec, name, {"BASE_IMAGE": base}, anew=anew)

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
                "ECR yet.",
            ) from exc

    def _build_base(self, engine: docker.APIClient, spec: ImageSpec) -> str:
        name = f"{_BASE_NAME}:{spec.python_version}-{spec.architecture}"
        arguments = {"ROOT_IMAGE": spec.base_image, "PYTHON_VERSION": spec.python_version}
        # Docker's cache decides whether anything has to be done: it notices a root that moved.
        return _run(engine, base_context(self._settings).archive, spec, name, arguments)


def _pull(engine: docker.APIClient, spec: ImageSpec) -> None:
    """Look for a newer root image; one that only this engine has stays as it is."""
    repository, tag = parse_repository_tag(spec.base_image)
    platform = _platform(engine, spec.architecture)
    try:
        stream = engine.pull(
            repository, tag or "latest", platform=platform, stream=True, decode=True
        )
        refusals = [record["error"] for record in stream if "error" in record]
    except APIError as exc:
        refusals = [str(exc)]
    for refusal in refusals:
        log.warning("Root image %s is taken as it is here: %s", spec.base_image, refusal)


def _run(
    engine: docker.APIClient,
    archive: bytes,
    spec: ImageSpec,
    name: str,
    arguments: dict[str, str],
    *,
    anew: bool = False,
) -> str:
    """Run one build and return the image's ID."""
    stream = engine.build(
        fileobj=BytesIO(archive),
        custom_context=True,
        tag=name,
        platform=_platform(engine, spec.architecture),
        buildargs=arguments | _proxy_arguments(),
        nocache=anew,
        rm=True,
        forcerm=True,
        decode=True,
    )
    return _follow_build(stream, name)


def _follow_build(stream: Iterable[dict[str, Any]], name: str) -> str:
    """Read a build's stream to its end: failures are reported inside it, with HTTP status 200."""
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    image_id = ""
    for record in stream:
        # The classic builder paints what a command writes to stderr.
        for line in Text.from_ansi(record.get("stream", "")).plain.splitlines():
            if line.strip():
                tail.append(line.rstrip())
                log.info("build %s: %s", name, line.rstrip())
        image_id = (record.get("aux") or {}).get("ID", image_id)
        if "error" in record:
            output = "\n".join(tail)
            text = f"Build of {name} failed: {record['error']}\n{output}"
            if (record.get("errorDetail") or {}).get("code") == _WRONG_PYTHON:
                raise VersionMismatch(
                    text, hint="Choose a base_image with the client's Python, or leave it unset."
                )
            raise ImageBuildError(text)
    if not image_id:
        raise ImageBuildError(f"Build of {name} ended without an image.\n" + "\n".join(tail))
    return image_id


def _platform(engine: docker.APIClient, architecture: str) -> str | None:
    """Name the platform only where it differs from the engine's own."""
    wanted = _PLATFORMS[architecture]
    return None if wanted == f"linux/{engine.version()['Arch']}" else wanted


def _proxy_arguments() -> dict[str, str]:
    """Pass the dispatcher's proxies on; Docker keeps these arguments out of an image's history."""
    arguments = {}
    for name in _PROXIES:
        value = os.environ.get(name) or os.environ.get(name.lower())
        if value:
            arguments[name] = arguments[name.lower()] = value
    return arguments
