"""A repository in a registry, by the registry's HTTP API ("OCI Distribution Specification", 1.1).

oras, the client on PyPI, reads a blob into memory to upload it, does not try again after a
connection that broke, and cannot be cancelled: hence these requests.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from covalent_lambda_container.adapters.registry.login import Authorization
from covalent_lambda_container.adapters.registry.references import Reference
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.ports.registry import RegistryLogin

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_CHUNK_BYTES: Final = 1 << 20
_TIMEOUTS_S: Final = (10, 120)
"""To connect, and between two pieces of an answer."""
_CONNECTIONS: Final = 8
_WAITS_S: Final = (0.5, 2.0, 5.0, 15.0)
"""Between attempts at a request that may be repeated."""
_FIRST_WAITS_S: Final = _WAITS_S[:2]
"""The same for a registry that has never answered: it is probably not there."""
_LONGEST_WAIT_S: Final = 60.0
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAID_CHARACTERS: Final = 500


class BrokenRead(RegistryError):
    """Reading a blob was interrupted."""


class BlobMissing(RegistryError):
    """A manifest names a blob that the registry does not have."""


class _TryAgain(Exception):
    """A request failed for a reason that may pass."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        super().__init__(reason)


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
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.name = f"{reference.host}/{reference.repository}"
        self._path = f"{url or reference.url}/v2/{reference.repository}"
        self._sleep = sleep
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._authorization = Authorization(reference.repository, find_login)
        self._has_answered = False
        # The environment's authorities go before those of the session, not before the request's.
        self._verify: Any = certificates or None

    def has_blob(self, digest: str) -> bool:
        """Return whether the repository has a blob."""

        def look() -> bool:
            with self._send("HEAD", f"{self._path}/blobs/{digest}", absent_ok=True) as answer:
                return answer.ok

        return self._repeated(f"look for blob {digest}", look)

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
            with self._send("POST", f"{self._path}/blobs/uploads/", push=True) as answer:
                place = self._location(answer)
            body = _Body(size, read)
            with self._send("PATCH", place, push=True, data=body, headers=_BINARY) as answer:
                place = self._location(answer)
            joint = "&" if urlsplit(place).query else "?"
            self._send(
                "PUT", f"{place}{joint}{urlencode({'digest': digest})}", push=True, data=b""
            ).close()

        self._repeated(f"upload blob {digest}", put)

    def read_blob(self, digest: str) -> Iterator[bytes]:
        """Yield a blob's bytes, whose digest is checked at the end.

        Raises
        ------
        RegistryError
            When they cannot be read, also in the middle, or are not what the digest says.
        """

        def begin() -> requests.Response:
            return self._send("GET", f"{self._path}/blobs/{digest}", stream=True)

        seen = hashlib.sha256()
        with closing(self._repeated(f"read blob {digest}", begin)) as answer:
            try:
                for piece in answer.iter_content(_CHUNK_BYTES):
                    seen.update(piece)
                    yield piece
            except requests.RequestException as exc:
                raise BrokenRead(f"{self.name}: blob {digest} broke off: {exc}") from exc
        if f"sha256:{seen.hexdigest()}" != digest:
            raise BrokenRead(f"{self.name}: the registry sent other bytes than blob {digest}")

    def small_blob(self, digest: str) -> bytes:
        """Return a blob that fits into memory, such as an image's configuration."""
        return self._repeated(f"read blob {digest}", lambda: b"".join(self.read_blob(digest)))

    def download(self, digest: str, file: Path) -> None:
        """Download a blob to a file; an interrupted download starts again."""

        def read() -> None:
            with file.open("wb") as out:
                out.writelines(self.read_blob(digest))

        self._repeated(f"download blob {digest}", read)

    def read_manifest(self, version: str, media_types: Iterable[str]) -> Manifest:
        """Return the manifest of a tag or a digest."""

        def read() -> Manifest:
            url = f"{self._path}/manifests/{version}"
            with self._send("GET", url, headers={"Accept": ", ".join(media_types)}) as answer:
                digest = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
                if version.startswith("sha256:") and version != digest:
                    raise _TryAgain("the registry sent another manifest")
                media_type = answer.headers.get("Content-Type", "").partition(";")[0]
                return Manifest(media_type=media_type, digest=digest, content=answer.content)

        return self._repeated(f"read the manifest of {version}", read)

    def put_manifest(self, tag: str, media_type: str, content: bytes) -> str:
        """Put a manifest under a tag; return its ``sha256:…`` digest.

        Raises
        ------
        BlobMissing
            When the registry lacks one of its blobs.
        """

        def put() -> None:
            url = f"{self._path}/manifests/{tag}"
            self._send(
                "PUT", url, push=True, data=content, headers={"Content-Type": media_type}
            ).close()

        self._repeated(f"push tag {tag}", put)
        return f"sha256:{hashlib.sha256(content).hexdigest()}"

    def _repeated(self, operation: str, attempt: Callable[[], Result]) -> Result:
        attempts = 0
        while True:
            try:
                return attempt()
            except (_TryAgain, BrokenRead, requests.RequestException) as exc:  # noqa: PERF203 - few
                waits_s = _WAITS_S if self._has_answered else _FIRST_WAITS_S
                # urllib3's errors have the address, which has no credentials.
                if attempts == len(waits_s):
                    raise self._failure(operation, str(exc)) from exc
                wait_s = max(waits_s[attempts], getattr(exc, "wait_s", 0.0))
                attempts += 1
                log.warning("%s: could not %s: %s; trying again", self.name, operation, exc)
                self._sleep(min(wait_s, _LONGEST_WAIT_S))

    def _send(
        self, method: str, url: str, *, push: bool = False, absent_ok: bool = False, **given: Any
    ) -> requests.Response:
        """Send one request; a refused login is renewed once."""
        answer = self._once(method, url, **given)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            answer.close()
            challenge = answer.headers.get("WWW-Authenticate", "Basic")
            self._authorization.renew(challenge, self._session, push=push)
            answer = self._once(method, url, **given)
        if answer.ok or (absent_ok and answer.status_code == HTTPStatus.NOT_FOUND):
            return answer
        with answer:
            raise self._refusal(method, answer)

    def _once(self, method: str, url: str, **given: Any) -> requests.Response:
        # Another host, to which an upload is directed, gets no credentials.
        own = urlsplit(url).netloc == urlsplit(self._path).netloc
        auth = self._authorization if own else lambda request: request
        answer = self._session.request(
            method, url, auth=auth, timeout=_TIMEOUTS_S, verify=self._verify, **given
        )
        self._has_answered = True
        return answer

    def _refusal(self, method: str, answer: requests.Response) -> Exception:
        said = answer.text[:_SAID_CHARACTERS].strip()
        reason = f"HTTP {answer.status_code}{f': {said}' if said else ''}"
        wrong_digest = "DIGEST_INVALID" in said
        unknown_upload = method in ("PATCH", "PUT") and "BLOB_UPLOAD_" in said
        if answer.status_code in _TRANSIENT or wrong_digest or unknown_upload:
            asked = answer.headers.get("Retry-After", "")
            return _TryAgain(reason, float(asked) if asked.isdigit() else 0.0)
        if "BLOB_UNKNOWN" in said or "LayersNotFound" in said:
            return BlobMissing(f"{self.name} lacks a blob of the image: {reason}")
        return self._failure(f"{method} to the registry", reason)

    def _failure(self, operation: str, reason: str) -> RegistryError:
        return RegistryError(f"{self.name}: could not {operation}: {reason}")

    def _location(self, answer: requests.Response) -> str:
        return urljoin(answer.url, answer.headers.get("Location", ""))


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
