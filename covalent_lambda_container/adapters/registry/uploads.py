"""Uploads of blobs to a repository, a few at a time, while other work goes on."""

from __future__ import annotations

import concurrent.futures
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from covalent_lambda_container.adapters.registry.layer_store import Layer
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.concurrency.cancellation import Cancellation

_AT_ONCE: Final = 4
_REPORT_S: Final = 0.5
STOP_S: Final = 5.0
"""How long a cancelled upload is waited for: one that hangs in its connection ends later."""
_MB: Final = 1e6


class BlobTarget(Protocol):
    """A repository that blobs and manifests are put into."""

    @property
    def name(self) -> str:
        """Host and path."""

    def upload(self, digest: str, size: int, read: Callable[[], Iterable[bytes]]) -> None:
        """Upload a blob unless it is there."""

    def put_manifest(self, tag: str, media_type: str, content: bytes) -> str:
        """Put a manifest under a tag; return its digest."""


@dataclass
class _Upload:
    """One upload: bytes sent so far, and what stops it."""

    sent: int = 0
    cancellation: Cancellation = field(default_factory=Cancellation)
    done: Future[None] = field(default_factory=Future)

    def counted(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield a blob's pieces; a blob that breaks off is counted from its start again."""
        self.sent = 0
        for piece in cancellable.checked(pieces):
            yield piece
            self.sent += len(piece)


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
        self._begun: dict[str, _Upload] = {}

    def begin(
        self,
        repository: BlobTarget,
        layer: Layer,
        read: Callable[[], Iterable[bytes]] | None = None,
        close: Callable[[], object] = lambda: None,
    ) -> None:
        """Have a layer uploaded, once at a time; a failed upload is begun again.

        Parameters
        ----------
        read
            Returns the layer's blob, where it is at hand already.
        close
            Called when `read` is no longer needed.
        """
        self._begin(repository, layer, read, close)

    def finish(
        self, repository: BlobTarget, layers: Sequence[Layer], report: Callable[[str], Any]
    ) -> None:
        """Wait until layers are in the repository; an exception of `report` ends the wait.

        Raises
        ------
        RegistryError
            When one of them cannot be uploaded.
        Cancelled
            The work was cancelled.
        """
        try:
            # All of them: an upload that still runs would count as one of the next attempt.
            self._wait([self._begin(repository, layer) for layer in layers], layers, report)
            # Those that failed may have done so for a build before this one.
            again = [self._begin(repository, layer) for layer in layers]
            self._wait(again, layers, report)
            for upload in again:
                upload.done.result()
        except BaseException:
            self.cancel(layers)
            raise
        # What is there now may be gone at the next build.
        self.forget(layers)

    def forget(self, layers: Iterable[Layer]) -> None:
        """Assume that layers may no longer be in the repository."""
        with self._lock:
            for layer in layers:
                self._begun.pop(layer.digest, None)

    def cancel(self, layers: Iterable[Layer]) -> None:
        """Stop the uploads of layers; another build that wants one of them begins it again."""
        with self._lock:
            stopped = [self._begun.pop(layer.digest, None) for layer in layers]
        running = [upload for upload in stopped if upload is not None]
        for upload in running:
            upload.cancellation.request()
        concurrent.futures.wait([upload.done for upload in running], STOP_S)

    def _begin(
        self,
        repository: BlobTarget,
        layer: Layer,
        read: Callable[[], Iterable[bytes]] | None = None,
        close: Callable[[], object] = lambda: None,
    ) -> _Upload:
        with self._lock, ExitStack() as unneeded:
            unneeded.callback(close)
            known = self._begun.get(layer.digest)
            if known is not None and not (known.done.done() and known.done.exception()):
                return known
            begun, cleanup = _Upload(), unneeded.pop_all()
            wanted_by = cancellable.current()
            if wanted_by is not None:
                # Another build that wants the layer as well begins again, as after a failure.
                cleanup.callback(wanted_by.on_request(begun.cancellation.request))

            def upload() -> None:
                with cleanup, self._turns:
                    cancellable.check()
                    repository.upload(
                        layer.digest,
                        layer.size,
                        lambda: begun.counted(read() if read else self._read(layer)),
                    )

            begun.done = in_background(upload, begun.cancellation)
            self._begun[layer.digest] = begun
            return begun

    def _wait(
        self, begun: Sequence[_Upload], layers: Sequence[Layer], report: Callable[[str], Any]
    ) -> None:
        rest = {upload.done for upload in begun}
        total = sum(layer.size for layer in layers)
        while rest:
            cancellable.check()
            rest = concurrent.futures.wait(rest, _REPORT_S).not_done
            sent = sum(
                layer.size if upload.done.done() else upload.sent
                for upload, layer in zip(begun, layers, strict=True)
            )
            ready = len(begun) - len(rest)
            megabytes = f"{sent / _MB:.0f} of {total / _MB:.0f} MB"
            report(f"uploading: {ready} of {len(begun)} layers, {megabytes}")
