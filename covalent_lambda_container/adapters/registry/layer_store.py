"""Layers on disk, compressed once: blobs for a registry, identical for identical archives."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from isal import isal_zlib

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Content, pieces
from covalent_lambda_container.files.cache_folder import make_private, mark_used, scratch

log = logging.getLogger(__name__)

LAYER_TYPE: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_LEVEL: Final = 2
_GZIP: Final = 31
"""A gzip header without name and time, and a checksum (zlib's ``windowBits``)."""


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an image.

    Parameters
    ----------
    digest, size
        ``"sha256:…"`` and bytes of its blob.
    diff_id, diff_size
        ``"sha256:…"`` and bytes of the uncompressed archive.
    source
        Reference of the image that it comes from; empty for a layer in the store.
    """

    digest: str
    size: int
    diff_id: str
    diff_size: int
    source: str = ""


class LayerDamaged(ImageBuildError):
    """A layer's blob in the store has changed or is missing."""


class LayerStore:
    """Compressed layers in a folder. Processes may share it: layers are written atomically.

    Blobs are checked before use, since disks fail: a blob that does not match its digest is
    removed, and counts as absent.

    Parameters
    ----------
    cache
        Folder of files that later builds reuse.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._folder = cache / "layers"
        self._sound: dict[Path, tuple[int, ...]] = {}

    def layer(
        self, archive: Iterable[Content], check: Callable[[], object] = lambda: None
    ) -> Layer:
        """Return the layer of an archive; compress it unless the store has it.

        Parameters
        ----------
        check
            Called repeatedly; an exception that it raises stops the work.

        Raises
        ------
        ImageBuildError
            The store cannot be written to; no part of the layer remains in it.
        """
        archive = tuple(archive)

        def checked() -> Iterator[bytes]:
            for piece in pieces(archive):
                check()
                yield piece

        try:
            seen, size = hashlib.sha256(), 0
            for piece in checked():
                seen.update(piece)
                size += len(piece)
            key = seen.hexdigest()
            return self._known(key) or self._compress(checked(), key, size)
        except OSError as exc:
            raise ImageBuildError(
                f"A layer could not be written to {self._folder}: {exc}.",
                hint="Free some space, or set the option cache_dir to another folder.",
            ) from exc

    def read(self, layer: Layer) -> Iterator[bytes]:
        """Yield a layer's blob.

        Raises
        ------
        LayerDamaged
            It is no longer in the store; or, at its end, its bytes do not match the digest: then it
            is removed from the store.
        """
        file = self._file(layer.diff_id.removeprefix("sha256:"))
        seen = hashlib.sha256()
        try:
            for piece in pieces([file]):
                seen.update(piece)
                yield piece
        except OSError as exc:
            raise LayerDamaged(f"Layer {file} cannot be read: {exc}.", hint="Try again.") from exc
        if f"sha256:{seen.hexdigest()}" != layer.digest:
            self._forget(file)
            raise LayerDamaged(f"Layer {file} was damaged and was removed.", hint="Try again.")

    def has(self, layer: Layer) -> bool:
        """Return whether the store has a layer's blob; a damaged one is removed."""
        file = self._file(layer.diff_id.removeprefix("sha256:"))
        try:
            if self._sound.get(file) != _state(file):
                for _ in self.read(layer):
                    pass
            self._mark_used(file)
        except (FileNotFoundError, LayerDamaged):
            return False
        return True

    def _mark_used(self, file: Path) -> None:
        mark_used(file)
        self._sound[file] = _state(file)

    def _forget(self, file: Path) -> None:
        log.warning("Layer %s was damaged and removed; it is recreated when needed.", file)
        self._sound.pop(file, None)
        file.unlink(missing_ok=True)

    def _known(self, key: str) -> Layer | None:
        record = self._record(key)
        try:
            found = Layer(**json.loads(record.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        if not self.has(found):
            return None
        mark_used(record)
        return found

    def _compress(self, archive: Iterable[bytes], key: str, diff_size: int) -> Layer:
        make_private(self._folder)
        packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
        seen, size = hashlib.sha256(), 0
        with scratch(self._cache) as folder:
            made = folder / "layer"
            with made.open("wb") as out:
                for piece in archive:
                    packed = packer.compress(piece)
                    seen.update(packed)
                    size += out.write(packed)
                packed = packer.flush()
                seen.update(packed)
                size += out.write(packed)
            layer = Layer(
                digest=f"sha256:{seen.hexdigest()}",
                size=size,
                diff_id=f"sha256:{key}",
                diff_size=diff_size,
            )
            record = folder / "record"
            record.write_text(json.dumps(asdict(layer)), "utf-8")
            # The record is written last, and names its blob.
            made.replace(self._file(key))
            record.replace(self._record(key))
            self._sound[self._file(key)] = _state(self._file(key))
        return layer

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.tar.gz"

    def _record(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _state(file: Path) -> tuple[int, ...]:
    """Return attributes that change when a file is written to."""
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns
