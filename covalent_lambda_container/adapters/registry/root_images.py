"""Root images in their registries: manifest, configuration and layers."""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from covalent_lambda_container.adapters.registry.image_record import (
    CONFIG_TYPE,
    MANIFEST_TYPE,
    ImageRecord,
)
from covalent_lambda_container.adapters.registry.layer_store import LAYER_TYPE, Layer
from covalent_lambda_container.adapters.registry.references import Reference, parse
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.adapters.registry.uploads import STOP_S
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.errors import ImageBuildError, RegistryError
from covalent_lambda_container.model.names import ARCHITECTURES

_INDEX_TYPES: Final = (
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
_MANIFEST_TYPES: Final = (MANIFEST_TYPE, "application/vnd.oci.image.manifest.v1+json")
_CONFIG_TYPES: Final = (CONFIG_TYPE, "application/vnd.oci.image.config.v1+json")
_LAYER_TYPES: Final = (LAYER_TYPE, "application/vnd.oci.image.layer.v1.tar+gzip")
_LARGEST_CONFIG: Final = 8 << 20
_DOWNLOADS: Final = 3
"""At once."""


class RootImages:
    """Reads images from any registry.

    Parameters
    ----------
    open_repository
        Returns the repository of a reference.
    """

    def __init__(self, open_repository: Callable[[Reference], Repository]) -> None:
        self._open = open_repository

    def read(self, name: str, architecture: str) -> ImageRecord:
        """Return an image; of an index, the one for the processor.

        Raises
        ------
        ImageBuildError
            When it cannot be read, or Lambda would not accept its layers.
        """
        reference = parse(name)
        repository = self._open(reference)
        try:
            manifest = self._manifest(repository, reference.version, architecture, name)
            config = json.loads(self._config(repository, manifest))
            described = manifest["layers"]
            diff_ids = config["rootfs"]["diff_ids"]
            layers = tuple(
                _layer(each, diff_id, name)
                for each, diff_id in zip(described, diff_ids, strict=True)
            )
        except RegistryError as exc:
            raise _not_read(name, exc) from exc
        except (KeyError, TypeError, ValueError) as exc:
            raise ImageBuildError(
                f"The root image {name} has a manifest or a configuration that is not one: {exc!r}."
            ) from exc
        if (config.get("config") or {}).get("OnBuild"):
            raise ImageBuildError(
                f"The root image {name} has ONBUILD instructions, which only Docker runs.",
                hint="Build with builder='docker', or give a base_image without them.",
            )
        history = tuple(config.pop("history", None) or ())
        config.pop("rootfs")
        return ImageRecord(config=config, history=history, layers=layers)

    def blob(self, layer: Layer) -> Iterator[bytes]:
        """Yield the blob of a root image's layer."""
        return self._open(parse(layer.source)).read_blob(layer.digest)

    @contextmanager
    def downloaded(self, image: ImageRecord, folder: Path) -> Iterator[list[Future[Path]]]:
        """Have an image's layers downloaded into a folder, until all are or the context is left.

        Yields
        ------
        list
            Their files, the lowest first. A download that fails raises `ImageBuildError`.
        """
        turns = threading.Semaphore(_DOWNLOADS)

        def download(number: int, layer: Layer) -> Path:
            file = folder / f"{number}.tar.gz"
            try:
                with turns:
                    self._open(parse(layer.source)).download(layer.digest, file)
            except RegistryError as exc:
                raise _not_read(layer.source, exc) from exc
            return file

        downloads: list[Future[Path]] = []
        try:
            with cancellable.parts() as cancellation:
                for number, layer in enumerate(image.layers):
                    downloads.append(in_background(partial(download, number, layer), cancellation))
                yield downloads
        finally:
            # They write into the folder.
            concurrent.futures.wait(downloads, STOP_S)

    def _manifest(
        self, repository: Repository, version: str, architecture: str, name: str
    ) -> dict[str, Any]:
        found = repository.read_manifest(version, (*_INDEX_TYPES, *_MANIFEST_TYPES))
        content: dict[str, Any] = json.loads(found.content)
        if "manifests" in content:
            wanted = {"os": "linux", "architecture": ARCHITECTURES[architecture]}
            fitting = [
                each["digest"]
                for each in content["manifests"]
                if wanted.items() <= (each.get("platform") or {}).items()
            ]
            if not fitting:
                raise RegistryError(f"{name} has no image for linux/{wanted['architecture']}.")
            content = json.loads(repository.read_manifest(fitting[0], _MANIFEST_TYPES).content)
        return content

    def _config(self, repository: Repository, manifest: Mapping[str, Any]) -> bytes:
        described = manifest["config"]
        if described["mediaType"] not in _CONFIG_TYPES:
            raise ValueError(described["mediaType"])
        return repository.small_blob(described["digest"], _LARGEST_CONFIG)


def _not_read(name: str, exc: RegistryError) -> ImageBuildError:
    return ImageBuildError(
        f"The root image {name} could not be read from its registry: {exc.message}",
        hint="Check the option base_image. builder='registry' reads the root image from a "
        "registry; an image that only a Docker engine has must be pushed to one first.",
    )


def _layer(described: Mapping[str, Any], diff_id: str, name: str) -> Layer:
    if described["mediaType"] not in _LAYER_TYPES:
        raise ImageBuildError(
            f"The root image {name} has a layer of the type {described['mediaType']}; Lambda "
            "accepts layers that are compressed by gzip only.",
            hint="Push the root image with gzip layers, or build with builder='docker'.",
        )
    return Layer(
        digest=str(described["digest"]),
        size=int(described["size"]),
        diff_id=str(diff_id),
        diff_size=0,
        source=name,
    )
