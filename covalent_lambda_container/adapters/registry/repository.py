"""A repository in a registry, by the registry's HTTP API ("OCI Distribution Specification", 1.1).

oras, the client on PyPI, reads a blob into memory to upload it, does not try again after a
connection that broke, and cannot be cancelled: hence these requests.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import requests

from covalent_lambda_container.adapters.registry.login import Authorization
from covalent_lambda_container.adapters.registry.references import Reference
from covalent_lambda_container.adapters.registry.registry_requests import (
    BrokenRead,
    RegistryRequests,
    TryAgain,
    break_off,
)
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.ports.registry import RegistryLogin

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A manifest as the registry has it."""

    media_type: str
    digest: str
    content: bytes


class Repository:
    """One repository. Threads may share it.

    Parameters
    ----------
    reference
        Where it is.
    find_login
        Returns fresh credentials for it, or None.
    certificates
        Path of a PEM file with authorities to trust; empty: those of the environment.
    url
        The registry's address, where it does not follow from the host.
    sleep
        Waits for some seconds before a request is repeated.
    """

    def __init__(
        self,
        reference: Reference,
        find_login: Callable[[], RegistryLogin | None],
        *,
        certificates: str = "",
        url: str = "",
        sleep: Callable[[float], object] = cancellable.sleep,
    ) -> None:
        self.name = f"{reference.host}/{reference.repository}"
        self._path = f"{url or reference.url}/v2/{reference.repository}"
        self._requests = RegistryRequests(
            self.name,
            self._path,
            Authorization(reference.repository, find_login),
            certificates=certificates,
            sleep=sleep,
        )

    def has_blob(self, digest: str) -> bool:
        """Return whether the repository has a blob."""

        def look() -> bool:
            with self._requests.send(
                "HEAD", f"{self._path}/blobs/{digest}", absent_ok=True
            ) as answer:
                return answer.ok

        return self._requests.repeated(f"look for blob {digest}", look)

    def upload(self, digest: str, size: int, read: Callable[[], Iterable[bytes]]) -> None:
        """Upload a blob unless the repository has it; an interrupted upload starts again.

        Parameters
        ----------
        size
            Bytes of the blob.
        read
            Returns its bytes, from the first one, each time it is called.
        """
        if self.has_blob(digest):
            return

        def put() -> None:
            # As Docker does it: registries differ in what else they accept.
            with self._requests.send("POST", f"{self._path}/blobs/uploads/", push=True) as answer:
                place = self._location(answer)
            body = _Body(size, read)
            with self._requests.send(
                "PATCH", place, push=True, data=body, headers=_BINARY
            ) as answer:
                place = self._location(answer)
            joint = "&" if urlsplit(place).query else "?"
            self._requests.send(
                "PUT", f"{place}{joint}{urlencode({'digest': digest})}", push=True, data=b""
            ).close()

        self._requests.repeated(f"upload blob {digest}", put)

    def read_blob(self, digest: str) -> Iterator[bytes]:
        """Yield a blob's bytes, whose digest is checked at the end.

        Raises
        ------
        RegistryError
            When they cannot be read, also in the middle, or are not what the digest says.
        """

        def begin() -> requests.Response:
            return self._requests.send("GET", f"{self._path}/blobs/{digest}", stream=True)

        seen = hashlib.sha256()
        answer = self._requests.repeated(f"read blob {digest}", begin)
        with closing(answer), cancellable.stopped_by(partial(break_off, answer)):
            try:
                for piece in answer.iter_content(_CHUNK_BYTES):
                    seen.update(piece)
                    yield piece
            except requests.RequestException as exc:
                raise BrokenRead(f"{self.name}: blob {digest} broke off: {exc}") from exc
        if f"sha256:{seen.hexdigest()}" != digest:
            raise BrokenRead(f"{self.name}: the registry sent other bytes than blob {digest}")

    def small_blob(self, digest: str, most_bytes: int) -> bytes:
        """Return a blob that fits into memory, such as an image's configuration.

        Raises
        ------
        RegistryError
            It cannot be read, or has more bytes.
        """

        def read() -> bytes:
            content = bytearray()
            for piece in self.read_blob(digest):
                content += piece
                if len(content) > most_bytes:
                    raise RegistryError(
                        f"{self.name}: blob {digest} has more than {most_bytes:,} bytes."
                    )
            return bytes(content)

        return self._requests.repeated(f"read blob {digest}", read)

    def download(self, digest: str, file: Path) -> None:
        """Download a blob to a file; an interrupted download starts again."""

        def read() -> None:
            with file.open("wb") as out:
                out.writelines(cancellable.checked(self.read_blob(digest)))

        self._requests.repeated(f"download blob {digest}", read)

    def read_manifest(self, version: str, media_types: Iterable[str]) -> Manifest:
        """Return the manifest of a tag or a digest."""

        def read() -> Manifest:
            url = f"{self._path}/manifests/{version}"
            with self._requests.send(
                "GET", url, headers={"Accept": ", ".join(media_types)}
            ) as answer:
                digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
                if version.startswith("sha256:") and version != digest:
                    raise TryAgain("the registry sent another manifest")
                media_type = answer.headers.get("Content-Type", "").partition(";")[0]
                return Manifest(media_type=media_type, digest=digest, content=answer.content)

        return self._requests.repeated(f"read the manifest of {version}", read)

    def put_manifest(self, tag: str, media_type: str, content: bytes) -> str:
        """Put a manifest under a tag; return its ``sha256:…`` digest.

        Raises
        ------
        BlobMissing
            When the registry lacks one of its blobs.
        """

        def put() -> None:
            url = f"{self._path}/manifests/{tag}"
            self._requests.send(
                "PUT", url, push=True, data=content, headers={"Content-Type": media_type}
            ).close()

        self._requests.repeated(f"push tag {tag}", put)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def _location(self, answer: requests.Response) -> str:
        place = answer.headers.get("Location", "")
        if not place:
            raise RegistryError(f"{self.name}: the registry began an upload without saying where.")
        return urljoin(answer.url, place)


_BINARY: Final[Mapping[str, str]] = {"Content-Type": "application/octet-stream"}


@dataclass(frozen=True)
class _Body:
    """A body of known length whose bytes are made as they are sent."""

    _size: int
    _read: Callable[[], Iterable[bytes]]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._read())
