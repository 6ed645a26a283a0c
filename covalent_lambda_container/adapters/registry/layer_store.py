"""Layers on disk, compressed once: blobs that a registry accepts, the same for the same archive."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from isal import isal_zlib

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Content, size_of
from covalent_lambda_container.files.cache_folder import SCRATCH, mark_used

LAYER_TYPE: Final = "application/vnd.docker.image.rootfs.diff.tar.gzip"

_LEVEL: Final = 2
_GZIP: Final = 31
"""A gzip header without name and time, and a checksum (zlib's ``windowBits``)."""
_CHUNK_BYTES: Final = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer of an image.

    Parameters
    ----------
    digest, size
        ``"sha256:…"`` and bytes of its blob.
    diff_id, diff_size
        ``"sha256:…"`` and bytes of the archive that it was made from.
    source
        Reference of the image that brought it; empty for a layer in the store.
    """

    digest: str
    size: int
    diff_id: str
    diff_size: int
    source: str = ""


class LayerStore:
    """Compressed layers in a folder. Processes may share it: a layer is there whole or not at all.

    Parameters
    ----------
    cache
        The folder of what serves later builds.
    """

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._folder = cache / "layers"

    def layer(self, archive: Iterable[Content]) -> Layer:
        """Return the layer of an archive, which is compressed unless the store has it.

        Raises
        ------
        ImageBuildError
            When the store cannot be written; nothing is left in it then.
        """
        archive = tuple(archive)
        try:
            seen, size = hashlib.sha256(), 0
            for piece in _pieces(archive):
                seen.update(piece)
                size += len(piece)
            return self._known(seen.hexdigest()) or self._compress(archive, seen.hexdigest(), size)
        except OSError as exc:
            raise ImageBuildError(
                f"A layer could not be written to {self._folder}: {exc}.",
                hint="Make room there, or name another folder by the option cache_dir.",
            ) from exc

    def read(self, layer: Layer) -> Iterator[bytes]:
        """Yield a layer's blob.

        Raises
        ------
        ImageBuildError
            When it is no longer in the store.
        """
        file = self._file(layer.diff_id.removeprefix("sha256:"))
        try:
            with file.open("rb") as opened:
                mark_used(file)
                while piece := opened.read(_CHUNK_BYTES):
                    yield piece
        except OSError as exc:
            raise ImageBuildError(
                f"Layer {file} cannot be read: {exc}.", hint="Try again."
            ) from exc

    def forget(self, layer: Layer) -> None:
        """Remove a layer whose bytes are not what they were."""
        self._file(layer.diff_id.removeprefix("sha256:")).unlink(missing_ok=True)

    def is_sound(self, layer: Layer) -> bool:
        """Return whether a layer's blob is what its digest says."""
        seen = hashlib.sha256()
        for piece in self.read(layer):
            seen.update(piece)
        return f"sha256:{seen.hexdigest()}" == layer.digest

    def has(self, layer: Layer) -> bool:
        """Return whether the store has a layer's blob."""
        try:
            return self._file(layer.diff_id.removeprefix("sha256:")).stat().st_size == layer.size
        except FileNotFoundError:
            return False

    def _known(self, key: str) -> Layer | None:
        record = self._record(key)
        try:
            found = Layer(**json.loads(record.read_text("utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        if not self.has(found):
            return None
        mark_used(record)
        mark_used(self._file(key))
        return found

    def _compress(self, archive: Iterable[Content], key: str, diff_size: int) -> Layer:
        self._folder.mkdir(parents=True, exist_ok=True)
        packer = isal_zlib.compressobj(_LEVEL, isal_zlib.DEFLATED, _GZIP)
        seen, size = hashlib.sha256(), 0
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._cache) as scratch:
            made = Path(scratch, "layer")
            with made.open("wb") as out:
                for piece in _pieces(archive):
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
            record = Path(scratch, "record")
            record.write_text(json.dumps(asdict(layer)), "utf-8")
            # The record is last, and says which blob it is about.
            made.replace(self._file(key))
            record.replace(self._record(key))
        return layer

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.tar.gz"

    def _record(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def _pieces(archive: Iterable[Content]) -> Iterator[bytes]:
    for content in archive:
        if isinstance(content, bytes):
            yield content
            continue
        path, start = (content, 0) if isinstance(content, Path) else (content.file, content.start)
        rest = size_of(content)
        with path.open("rb") as file:
            file.seek(start)
            while rest and (piece := file.read(min(_CHUNK_BYTES, rest))):
                rest -= len(piece)
                yield piece
