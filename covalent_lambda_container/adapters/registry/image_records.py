"""The images of an engine without Docker: one file each, next to their layers."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path

from covalent_lambda_container.adapters.registry.image_record import ImageRecord
from covalent_lambda_container.adapters.registry.layer_store import LayerStore
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.cache_folder import make_private, mark_used, scratch


class ImageRecords:
    """Images by name. Processes may share them: images are written atomically.

    Parameters
    ----------
    cache
        Folder of files that later builds reuse.
    layers
        Store of the layers; an image with a missing layer counts as absent.
    """

    def __init__(self, cache: Path, layers: LayerStore) -> None:
        self._cache = cache
        self._folder = cache / "images"
        self._layers = layers

    def find(self, name: str) -> ImageRecord | None:
        """Return the image with a name, or None."""
        file = self._file(name)
        try:
            _, record = _read(file)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None
        if not all(layer.source or self._layers.has(layer) for layer in record.layers):
            return None
        with contextlib.suppress(FileNotFoundError):
            mark_used(file)
        return record

    def by_id(self, image_id: str) -> tuple[str, ImageRecord]:
        """Return the name and the image with an ID.

        Raises
        ------
        ImageBuildError
            There is none.
        """
        for file in self._folder.glob("*.json"):
            # Another process may remove it.
            with contextlib.suppress(FileNotFoundError, ValueError, TypeError, KeyError):
                name, record = _read(file)
                if record.id == image_id:
                    return name, record
        raise ImageBuildError(f"Image {image_id} was removed.", hint="Try again.")

    def keep(self, name: str, record: ImageRecord) -> None:
        """Store an image, replacing one of the same name."""
        make_private(self._folder)
        with scratch(self._cache) as folder:
            made = folder / "image"
            made.write_text(f"{_digest(record.json)}\n{name}\n{record.json}", "utf-8")
            made.replace(self._file(name))

    def remove(self, name: str) -> None:
        """Remove an image; an absent one is ignored."""
        self._file(name).unlink(missing_ok=True)

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def _read(file: Path) -> tuple[str, ImageRecord]:
    digest, name, text = file.read_text("utf-8").split("\n", 2)
    if digest != _digest(text):
        raise ValueError(f"{file} is damaged")
    return name, ImageRecord.of_json(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
