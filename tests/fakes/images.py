"""A container engine and the registry it pushes to, without either."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.ports import RegistryLogin
from covalent_lambda_container.spec import ImageReference, ImageSpec

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


class FakeRegistry:
    """One repository with immutable tags.

    Attributes
    ----------
    repository_exists
        Whether there is a repository yet.
    password
        What a push has to present.
    forgetful
        Set to keep nothing of what is pushed.
    """

    def __init__(self, uri: str = "registry.example.com/covalent-lambda") -> None:
        self.uri = uri
        self.repository_exists = False
        self.password = "secret-of-the-registry"
        self.forgetful = False
        self._images: dict[str, tuple[str, str]] = {}
        self._lock = threading.Lock()

    @property
    def tags(self) -> set[str]:
        """All tags in the repository."""
        return set(self._images)

    def find(self, tag: str) -> ImageReference | None:
        with self._lock:
            found = self._images.get(tag)
        if found is None:
            return None
        digest, media_type = found
        if media_type != DOCKER_MANIFEST:
            raise RegistryError(f"Image {self.uri}:{tag} is a {media_type}.")
        return ImageReference(repository_uri=self.uri, digest=digest)

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
            if tag in self._images:
                raise RegistryError(f"Push of {self.uri}:{tag} was refused: the tag is immutable.")
            if not self.forgetful:
                self._images[tag] = digest, media_type
        return digest


class FakeImageBuilder:
    """An engine that keeps the specs of its images instead of images.

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
    """

    def __init__(self, registry: FakeRegistry) -> None:
        self.builds: list[str] = []
        self.pushes: list[str] = []
        self.failures: list[Exception] = []
        self.while_building: Callable[[], object] = lambda: None
        self._registry = registry
        self._images: dict[str, ImageSpec] = {}

    def build(self, spec: ImageSpec, name: str) -> None:
        self.while_building()
        if self.failures:
            raise self.failures.pop(0)
        self._images[name] = spec
        self.builds.append(name)

    def push(self, name: str, login: RegistryLogin) -> str:
        repository, _, tag = name.rpartition(":")
        if name not in self._images:
            raise RegistryError(f"Push of {name} was refused: there is no such image here.")
        if repository != self._registry.uri or login != self._registry.login():
            raise RegistryError(f"Push of {name} was refused: denied.")
        # Two builds of one spec differ in their bytes, as Docker's do.
        digest = self._registry.accept(tag, f"{self._images[name].digest} by {id(self)}")
        self.pushes.append(name)
        return digest
