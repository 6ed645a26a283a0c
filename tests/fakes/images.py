"""A fake container engine, and the registry that it pushes to."""

from __future__ import annotations

import hashlib
import itertools
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from covalent_lambda_container.errors import RegistryError, UnusableImage
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.names import revised_tag
from covalent_lambda_container.model.specs import ImageReference, ImageSpec
from covalent_lambda_container.ports.registry import ImageRecord, RegistryLogin

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class FakeRegistry:
    """One repository, its tags immutable unless set otherwise.

    Attributes
    ----------
    repository_exists
        Whether there is a repository yet.
    password
        Password required for pushes.
    forgetful
        Set to discard everything that is pushed.
    keeps_all
        Set to refuse removals.
    tags_move
        Set to let a push take a tag from another image, as mutable repositories do.
    pushed, pulled
        Times of pushes and pulls, by digest; tests may set them.
    installed
        Packages in the labels of images, by tag; tests may set them.
    """

    def __init__(self, uri: str = "registry.example.com/covalent-lambda") -> None:
        self.uri = uri
        self.repository_exists = False
        self.password = "secret-of-the-registry"
        self.forgetful = False
        self.keeps_all = False
        self.tags_move = False
        self.pushed: dict[str, datetime] = {}
        self.pulled: dict[str, datetime] = {}
        self.installed: dict[str, dict[str, int]] = {}
        self._images: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def tags(self) -> set[str]:
        """All tags in the repository."""
        return set(self._images)

    def find(self, tag: str) -> ImageReference | None:
        with self._lock:
            found = [self._images[name] for name in self._revisions(tag)]
        if not found:
            return None
        digest, media_type = found[-1]
        if media_type != DOCKER_MANIFEST:
            raise UnusableImage(f"Image {self.uri}:{tag} is a {media_type}.")
        return ImageReference(repository_uri=self.uri, digest=digest)

    def contents(self, tag: str) -> ImageContents | None:
        if self.find(tag) is None:
            raise RegistryError(f"There is no image {self.uri}:{tag} in ECR.")
        packages = self.installed.get(tag)
        return None if packages is None else ImageContents(spec={}, packages=packages)

    def next_tag(self, tag: str) -> str:
        return revised_tag(tag, len(self._revisions(tag)))

    def remove(self, tag: str) -> None:
        if self.keeps_all:
            raise RegistryError(f"Could not remove {self.uri}:{tag}: denied.")
        self._images.pop(tag, None)

    def list_images(self) -> list[ImageRecord]:
        with self._lock:
            digests = {digest for digest, _ in self._images.values()}
            return [self._record(digest) for digest in sorted(digests)]

    def _record(self, digest: str) -> ImageRecord:
        tags = sorted(tag for tag, (found, _) in self._images.items() if found == digest)
        return ImageRecord(
            digest=digest,
            tags=tuple(tags),
            size_bytes=42_000_000,
            pushed=self.pushed.get(digest) or datetime.now(timezone.utc),
            pulled=self.pulled.get(digest),
        )

    def remove_images(self, digests: Sequence[str]) -> None:
        with self._lock:
            kept = {tag: image for tag, image in self._images.items() if image[0] not in digests}
            self._images = kept

    def ensure_repository(self) -> str:
        self.repository_exists = True
        return self.uri

    def login(self) -> RegistryLogin:
        return RegistryLogin(username="AWS", password=self.password)

    def accept(self, tag: str, content: str, media_type: str = DOCKER_MANIFEST) -> str:
        """Take an image, as from a push by anybody; return its digest."""
        digest = f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"
        with self._lock:
            if not self.repository_exists:
                raise RegistryError(f"Push to {self.uri} was refused: no such repository.")
            if tag in self._images and not self.tags_move:
                raise RegistryError(f"Push of {self.uri}:{tag} was refused: the tag is immutable.")
            if not self.forgetful:
                self._images[tag] = digest, media_type
                self.pushed[digest] = datetime.now(timezone.utc)
        return digest

    def _revisions(self, tag: str) -> list[str]:
        names = (revised_tag(tag, number) for number in itertools.count())
        return list(itertools.takewhile(lambda name: name in self._images, names))


class FakeImageBuilder:
    """An engine that keeps a word about its images instead of images.

    Parameters
    ----------
    registry
        Where it pushes to.

    Attributes
    ----------
    builds, pushes
        Names of the images built and pushed, in order, failures left out.
    failures
        Errors for the next builds, one each.
    while_building
        Called in the middle of each build.
    media_type
        Of the manifests it pushes.
    """

    def __init__(self, registry: FakeRegistry) -> None:
        self.builds: list[str] = []
        self.pushes: list[str] = []
        self.failures: list[Exception] = []
        self.while_building: Callable[[], object] = lambda: None
        self.media_type = DOCKER_MANIFEST
        self._registry = registry
        self._contents: dict[ImageSpec, str] = {}
        self._images: dict[str, str] = {}

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        self.while_building()
        if self.failures:
            raise self.failures.pop(0)
        # Two builds of one spec differ in their bytes, as Docker's do, unless it remembers them.
        if rebuild or spec not in self._contents:
            self._contents[spec] = f"{spec.digest} by {id(self)}, build {len(self.builds)}"
        self._images[name] = self._contents[spec]
        self.builds.append(name)

    def push(self, name: str, login: RegistryLogin) -> str:
        repository, _, tag = name.rpartition(":")
        if name not in self._images:
            raise RegistryError(f"Push of {name} was refused: there is no such image here.")
        if repository != self._registry.uri or login != self._registry.login():
            raise RegistryError(f"Push of {name} was refused: denied.")
        digest = self._registry.accept(tag, self._images[name], self.media_type)
        self.pushes.append(name)
        return digest
