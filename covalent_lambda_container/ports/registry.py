"""A repository of images, and a builder that pushes to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import ImageReference, ImageSpec


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """Credentials for one push; never written anywhere."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"RegistryLogin(username={self.username!r}, password=…)"


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """An image as the registry lists it.

    Parameters
    ----------
    digest
        ``"sha256:…"`` of its manifest.
    tags
        Its tags, sorted.
    size_bytes
        Size of its compressed layers.
    pushed
        When it was pushed.
    pulled
        Day of its last pull; None if there was none, or it is not known.
    """

    digest: str
    tags: tuple[str, ...]
    size_bytes: int
    pushed: datetime
    pulled: datetime | None = None


class ImageBuilder(Protocol):
    """Builds and pushes task images."""

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        """Build the image of a spec and tag it `name` in the engine.

        With `rebuild`, results of earlier builds are not reused.
        """

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image; return its manifest's ``sha256:…`` digest."""


class Registry(Protocol):
    """A repository of images."""

    def find(self, tag: str) -> ImageReference | None:
        """Return the newest image of a tag, or None if the registry has none.

        Raises
        ------
        UnusableImage
            Lambda does not accept it.
        """

    def contents(self, tag: str) -> ImageContents | None:
        """Return the contents of a tag's newest image, or None if its labels lack them.

        Raises
        ------
        RegistryError
            There is no such image, or it cannot be read.
        """

    def next_tag(self, tag: str) -> str:
        """Return the tag for the next image of a tag: the tag itself, or its next revision."""

    def remove(self, tag: str) -> None:
        """Remove a tag; an image without another tag is removed with it."""

    def list_images(self) -> list[ImageRecord]:
        """Return all images; none if there is no repository."""

    def remove_images(self, digests: Sequence[str]) -> None:
        """Remove images with all their tags; absent ones are ignored."""

    def ensure_repository(self) -> str:
        """Return the repository's URI, creating the repository if there is none."""

    def login(self) -> RegistryLogin:
        """Return fresh credentials for a push."""
