"""A container engine, and the images it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from covalent_lambda_container.files.archives import Member
from covalent_lambda_container.ports.registry import RegistryLogin


class CannotRun(Exception):
    """Images for another processor do not run on this engine."""


@dataclass(frozen=True, kw_only=True)
class ImageFile:
    """A file in an image.

    Parameters
    ----------
    path
        Where it is, after all links.
    content
        What it holds.
    """

    path: str
    content: bytes


@dataclass(frozen=True, kw_only=True)
class EngineImage:
    """An image that is in a container engine.

    Parameters
    ----------
    id
        ``"sha256:…"`` of its configuration.
    architecture
        ``"x86_64"``, ``"arm64"``, or the engine's name for another one.
    size
        Bytes of all its layers, uncompressed.
    labels
        Its labels.
    """

    id: str
    architecture: str
    size: int
    labels: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class StoredImage:
    """An image or a step of a build, as a container engine's list of all has it.

    Parameters
    ----------
    id
        ``"sha256:…"`` of its configuration.
    parent
        ID of the one that it was made on; empty if that was not here.
    names
        ``"repository:tag"``, all of them.
    labels
        Its labels, those of its parent included.
    layers
        Digests of its layers, from the lowest up, those of its parent included. The same layers on
        one another are stored once, whatever images they are of.
    size
        Bytes of these, uncompressed.
    made
        When it was made or last named.
    in_use
        Whether there is a container of it, also one that does not run.
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
    """A running container, for work that needs the image's own system."""

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        redacted: Callable[[str], str] = str,
    ) -> str:
        """Run a command to its end; return what it wrote to its standard output.

        What `redacted` makes of its lines is logged, and told if it fails.
        """

    def put(self, members: Iterable[Member]) -> None:
        """Write files; their names are paths from the root."""

    def get(self, path: str, folder: Path) -> None:
        """Write the plain files below a folder of the container to one of this machine."""


class Engine(Protocol):
    """A container engine."""

    def find(self, name: str) -> EngineImage | None:
        """Return an image that is in the engine, by name or ID, or None."""

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
        """Remove an image, or its tag if other tags name it; an absent one does not matter."""

    def container(
        self, image: str, architecture: str, *, offline: bool = False
    ) -> AbstractContextManager[Container]:
        """Run a container of an image while the context is open; it does nothing by itself.

        One that is ``offline`` has no network, and is there sooner.

        Raises
        ------
        CannotRun
        """

    def read(self, image: str, architecture: str, paths: Sequence[str]) -> list[ImageFile | None]:
        """Return files of an image that need not run, each with where its links lead to."""


class ImageStore(Protocol):
    """The images of a container engine."""

    def list_images(self) -> list[StoredImage]:
        """Return all images and the steps of their builds, whoever made them."""

    def remove_unused(self, name: str, image_id: str) -> bool:
        """Take a name away from an image; without another one, it goes with all that only it needs.

        An image without a name is removed by its ID. One that is not there, or has the name no
        longer, does not matter; False says that the engine needs it.
        """
