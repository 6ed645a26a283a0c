"""The outside systems as the flow sees them: five protocols and the values that cross them.

Adapters implement the protocols, and so do the fakes that unit tests use; both pass the same
contract tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from covalent_lambda_container.archives import Member
from covalent_lambda_container.install_settings import InstallSettings
from covalent_lambda_container.pieces import Readable
from covalent_lambda_container.spec import FunctionSpec, ImageReference, ImageSpec

Parsed = TypeVar("Parsed")

ACTIVE: Final = "Active"
INACTIVE: Final = "Inactive"
PENDING: Final = "Pending"
FAILED: Final = "Failed"


class CannotRun(Exception):
    """Images for another processor do not run on this engine."""


class WheelsMissing(Exception):
    """The requirements cannot be met with wheels alone; its text is what the installer says."""


class NotAccepted(Exception):
    """Lambda did not start the task; it may be sent again.

    Parameters
    ----------
    said
        Why it did not.
    hint
        What helps if it stays so; empty if that is not known.
    """

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.hint = hint


class Unreachable(NotAccepted):
    """No connection to Lambda could be made."""


class FunctionMissing(Exception):
    """There is no function of that name."""


class ConnectionLost(Exception):
    """The connection broke after the request may have been accepted."""


@dataclass(frozen=True, kw_only=True)
class RegistryLogin:
    """Credentials for one push; never written anywhere."""

    username: str
    password: str

    def __repr__(self) -> str:
        return f"RegistryLogin(username={self.username!r}, password=…)"


@dataclass(frozen=True, kw_only=True)
class Found:
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


@dataclass(frozen=True, kw_only=True)
class FunctionState:
    """What Lambda says of a function.

    Parameters
    ----------
    state
        `PENDING`, `ACTIVE`, `INACTIVE` (wakes when invoked) or `FAILED`.
    reason
        Lambda's sentence about a state other than `ACTIVE`.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class ImageRecord:
    """What the registry says of an image.

    Parameters
    ----------
    digest
        ``"sha256:…"`` of its manifest.
    tags
        Its tags, sorted.
    size_bytes
        Of its compressed layers.
    pushed
        When it was pushed.
    pulled
        When it was last pulled, to a day; None if it never was, or if nobody knows.
    """

    digest: str
    tags: tuple[str, ...]
    size_bytes: int
    pushed: datetime
    pulled: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class FunctionRecord:
    """What Lambda says of a function that runs an image.

    Parameters
    ----------
    name
        Its name.
    image
        The image it was made from, ``"repository@sha256:…"``.
    memory_mb
        Its memory.
    modified
        When it was made or last changed.
    tags
        Its AWS tags.
    """

    name: str
    image: str
    memory_mb: int
    modified: datetime
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an invocation brought back.

    Parameters
    ----------
    payload
        The JSON the function answered, or Lambda's description of its failure.
    function_error
        Empty when the function answered; ``"Unhandled"`` and the like when it did not.
    log_tail
        Last 4 KB of the invocation's log.
    """

    payload: dict[str, Any]
    function_error: str = ""
    log_tail: str = ""


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
        anew: bool = False,
    ) -> str:
        """Build an image from a context, tag it `name`, and return its ID.

        With `anew`, from nothing that earlier builds have left.
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

    def read(self, image: str, architecture: str, paths: Sequence[str]) -> list[Found | None]:
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


class Installer(Protocol):
    """Installs distributions for an image on this machine, from wheels."""

    def install(
        self,
        requirements: Mapping[str, str],
        target: Path,
        scratch: Path,
        *,
        settings: InstallSettings,
        python_version: str,
        architecture: str,
        glibc: str,
        options: Sequence[str] = (),
    ) -> None:
        """Install what a requirements file names into a folder.

        The file is ``requirements.txt`` among texts by name; it may refer to the others.

        Raises
        ------
        WheelsMissing
        """


class ImageBuilder(Protocol):
    """Makes task images."""

    def build(self, spec: ImageSpec, name: str, *, anew: bool = False) -> None:
        """Build the image of a spec and tag it `name` in the engine.

        With `anew`, from nothing that earlier builds have left.
        """

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image; return its manifest's ``sha256:…`` digest."""


class Registry(Protocol):
    """A repository of images."""

    def find(self, tag: str) -> ImageReference | None:
        """Return the newest image of a tag, or None when the registry says there is none.

        Raises
        ------
        UnusableImage
            When it is one that Lambda does not take.
        """

    def next_tag(self, tag: str) -> str:
        """Return what to push the next image of a tag as: the tag itself, or a later revision."""

    def remove(self, tag: str) -> None:
        """Take a tag away; an image without another one goes with it."""

    def list_images(self) -> list[ImageRecord]:
        """Return all images; none if there is no repository."""

    def remove_images(self, digests: Sequence[str]) -> None:
        """Remove images with all their tags; absent ones do not matter."""

    def ensure_repository(self) -> str:
        """Return the repository's URI, making the repository if there is none."""

    def login(self) -> RegistryLogin:
        """Return fresh credentials for a push."""


class Functions(Protocol):
    """A place where functions are made."""

    def find(self, name: str) -> FunctionState | None:
        """Return a function's state, or None when there is no such function."""

    def create(self, spec: FunctionSpec) -> None:
        """Ask for a function; one that exists is left as it is."""

    def wait_active(self, name: str) -> FunctionState:
        """Wait until a function is no longer pending; return its state."""

    def delete(self, name: str) -> None:
        """Delete a function, if it is there."""

    def list_functions(self) -> list[FunctionRecord]:
        """Return all functions of the account that run an image, whoever made them."""


class Invocations(Protocol):
    """A place where functions are run."""

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        """Run a function once and wait for its answer.

        Raises
        ------
        NotAccepted, FunctionMissing, ConnectionLost
        """


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """What a function wrote.

    Parameters
    ----------
    time
        When.
    text
        One event, which may have several lines.
    """

    time: datetime
    text: str


class Logs(Protocol):
    """What functions wrote."""

    def last_event(self, function_name: str) -> datetime | None:
        """Return when a function last wrote something; None if nothing is there."""

    def read(
        self, function_name: str, since: datetime, *, follow: bool = False
    ) -> Iterator[LogLine]:
        """Yield what a function wrote, oldest first; with `follow`, then what it writes."""


class BlobStore(Protocol):
    """A place for objects too large for an invocation."""

    def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
        """Store an object, given whole or in pieces."""

    def read(self, key: str, parse: Callable[[Readable], Parsed]) -> Parsed | None:
        """Return what `parse` makes of an object's stream, or None when there is no such object.

        A stream that breaks, or that `parse` finds incomplete (ValueError), is read again.
        """

    def delete(self, keys: list[str]) -> None:
        """Remove objects; absent ones do not matter."""

    def read_url(self, key: str, *, valid_s: int) -> str:
        """Return a URL from which anyone may GET the object for a while."""

    def write_url(self, key: str, *, valid_s: int) -> str:
        """Return a URL to which anyone may PUT the object for a while."""
