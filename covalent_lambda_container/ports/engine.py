"""A container engine and its images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member
from covalent_lambda_container.ports.registry import RegistryLogin


class CannotRun(Exception):
    """The engine cannot run images of this processor architecture."""


class CommandFailed(ImageBuildError):
    """A command in a container ended with a status other than 0.

    Parameters
    ----------
    message
        Command, status and the end of its output.
    output
        Its output without passwords; of a very long one, the end.
    """

    def __init__(self, message: str, output: str) -> None:
        super().__init__(message)
        self.output = output


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """A file in an image.

    Parameters
    ----------
    path
        Path with all links resolved.
    content
        Its content.
    """

    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class EngineImage:
    """An image in a container engine.

    Parameters
    ----------
    id
        ``"sha256:…"`` of its configuration.
    architecture
        ``"x86_64"``, ``"arm64"``, or the engine's name for another one.
    size
        Uncompressed size of all its layers, in bytes.
    labels
        Its labels.
    """

    id: str
    architecture: str
    size: int
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image or an intermediate step of a build, as a container engine lists it.

    Parameters
    ----------
    id
        ``"sha256:…"`` of its configuration.
    parent
        ID of the image it was built on; empty if the engine does not have that.
    names
        All its names: ``"repository:tag"``.
    labels
        Its labels, those of its parent included.
    layers
        Digests of its layers from the bottom up, including those of its parent. Images that start
        with the same layers share their storage.
    size
        Uncompressed size of these layers, in bytes.
    made
        When it was built or last tagged.
    in_use
        Whether a container of it exists, running or not.
    """

    id: str
    parent: str
    names: tuple[str, ...]
    labels: Mapping[str, str]
    layers: tuple[str, ...]
    size: int
    made: datetime
    in_use: bool


class Container(Protocol):
    """A running container."""

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        redacted: Callable[[str], str] = str,
    ) -> str:
        """Run a command and return its standard output.

        Its output is passed through `redacted` before it is logged or part of an error.

        Raises
        ------
        CommandFailed
        """

    def put(self, members: Iterable[Member]) -> None:
        """Write files; their names are paths relative to the root."""

    def get(self, path: str, folder: Path) -> None:
        """Copy the plain files below a folder of the container to a folder of this machine."""


class Engine(Protocol):
    """A container engine.

    Attributes
    ----------
    runs_containers
        Whether it runs containers at all; otherwise `container` always raises `CannotRun`.
    """

    @property
    def runs_containers(self) -> bool: ...

    def find(self, name: str) -> EngineImage | None:
        """Return the image of a name or ID, or None if the engine does not have it."""

    def pull(self, name: str, architecture: str) -> EngineImage:
        """Pull an image and return it."""

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
        """Build an image from a context, tag it `name`, and return its ID.

        With `no_cache`, without anything that earlier builds have left.
        """

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image; return its manifest's ``sha256:…`` digest."""

    def remove(self, name: str) -> None:
        """Remove an image, or just the tag if it has others; do nothing if it is absent."""

    def container(
        self, image: str, architecture: str, *, offline: bool = False
    ) -> AbstractContextManager[Container]:
        """Run an idle container of an image while the context is open.

        An ``offline`` container has no network and starts faster.

        Raises
        ------
        CannotRun
        """

    def read(self, image: str, architecture: str, paths: Sequence[str]) -> list[ImageFile | None]:
        """Return files of an image without running it; None for files that do not exist."""


class ImageStore(Protocol):
    """The images in a container engine."""

    def list_images(self) -> list[StoredImage]:
        """Return all images and intermediate steps of builds, whoever created them."""

    def remove_unused(self, name: str, image_id: str) -> bool:
        """Untag an image; remove it, and parents used by it only, if it has no other name.

        An unnamed image is removed by its ID. If the image is absent or no longer has the name,
        nothing happens. Return False if the engine refuses because it is in use.
        """
