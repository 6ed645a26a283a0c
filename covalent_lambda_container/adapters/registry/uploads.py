"""Blobs on their way into a repository, a few at a time, while other work goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from typing import Any, Final, Protocol, TypeVar

from covalent_lambda_container.adapters.registry.layer_store import Layer

_AT_ONCE: Final = 4

Result = TypeVar("Result")


class BlobTarget(Protocol):
    """A repository that blobs and manifests are put into."""

    @property
    def name(self) -> str:
        """Host and path."""

    def upload(self, digest: str, size: int, read: Callable[[], Iterable[bytes]]) -> None:
        """Upload a blob unless it is there."""

    def put_manifest(self, tag: str, media_type: str, content: bytes) -> str:
        """Put a manifest under a tag; return its digest."""


def in_background(work: Callable[[], Result]) -> Future[Result]:
    """Do a work in a thread that does not keep the process from ending."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as exc:
            future.set_exception(exc)

    threading.Thread(target=run, name="covalent-lambda-layer", daemon=True).start()
    return future


class Uploads:
    """Uploads of layers.

    Parameters
    ----------
    read
        Returns a layer's blob.
    """

    def __init__(self, read: Callable[[Layer], Iterator[bytes]]) -> None:
        self._read = read
        self._turns = threading.Semaphore(_AT_ONCE)
        self._lock = threading.Lock()
        self._begun: dict[str, Future[None]] = {}

    def begin(self, repository: BlobTarget, layer: Layer) -> Future[None]:
        """Have a layer uploaded, once at a time; a failed upload is begun again."""
        with self._lock:
            known = self._begun.get(layer.digest)
            if known is not None and not (known.done() and known.exception()):
                return known

            def upload() -> None:
                with self._turns:
                    repository.upload(layer.digest, layer.size, lambda: self._read(layer))

            self._begun[layer.digest] = in_background(upload)
            return self._begun[layer.digest]

    def finish(
        self, repository: BlobTarget, layers: Sequence[Layer], report: Callable[[str], Any]
    ) -> None:
        """Wait until layers are in the repository.

        Raises
        ------
        RegistryError
            When one of them cannot be uploaded.
        """
        begun = [self.begin(repository, layer) for layer in layers]
        try:
            for number, upload in enumerate(begun, 1):
                if not upload.done():
                    report(f"uploading layer {number} of {len(begun)}")
                # All of them: an upload that still runs would count as one of the next attempt.
                upload.exception()
            # Those that failed may have done so for a build before this one.
            for layer in layers:
                self.begin(repository, layer).result()
        finally:
            # What is there now may be gone at the next build.
            self.forget([layer for layer, each in zip(layers, begun, strict=True) if each.done()])

    def forget(self, layers: Iterable[Layer]) -> None:
        """Take it that layers may not be in the repository any more."""
        with self._lock:
            for layer in layers:
                self._begun.pop(layer.digest, None)
