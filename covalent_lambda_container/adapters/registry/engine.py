"""An engine without Docker: it composes images on this machine, and uploads them by itself.

An image is a record, a configuration and a list of layers. What a Dockerfile's ADD unpacks becomes
a layer as it is, compressed and uploaded beside what comes next; what its other instructions set
goes into the configuration. Nothing is run.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from covalent_lambda_container import progress
from covalent_lambda_container.adapters.registry.image_record import (
    MANIFEST_TYPE,
    ImageRecord,
    Instruction,
    instructions,
)
from covalent_lambda_container.adapters.registry.image_records import ImageRecords
from covalent_lambda_container.adapters.registry.layer_files import read_files
from covalent_lambda_container.adapters.registry.layer_store import Layer, LayerStore
from covalent_lambda_container.adapters.registry.references import parse
from covalent_lambda_container.adapters.registry.registry_requests import BlobMissing
from covalent_lambda_container.adapters.registry.root_images import RootImages
from covalent_lambda_container.adapters.registry.unfinished_image import UnfinishedImage
from covalent_lambda_container.adapters.registry.uploads import (
    BlobTarget,
    Uploads,
)
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.concurrency.cancellation import Cancellation
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member, Part, pieces, without_duplicates
from covalent_lambda_container.files.cache_folder import scratch
from covalent_lambda_container.model.names import lambda_architecture
from covalent_lambda_container.ports.engine import CannotRun, Container, EngineImage, ImageFile
from covalent_lambda_container.ports.registry import RegistryLogin

_ATTEMPTS: Final = 3
"""At a manifest, where the registry forgets blobs."""
_COMPRESSED_AT_ONCE: Final = max(2, os.cpu_count() or 1)


class RegistryEngine:
    """Composes and uploads images.

    Parameters
    ----------
    roots
        Reads root images.
    open_target
        Returns the repository that images are pushed to.
    cache
        Folder for what serves later builds.
    """

    runs_containers = False

    def __init__(
        self, roots: RootImages, open_target: Callable[[], BlobTarget], cache: Path
    ) -> None:
        self._roots = roots
        self._open_target = open_target
        self._cache = cache
        self._layers = LayerStore(cache)
        self._images = ImageRecords(cache, self._layers)
        self._uploads = Uploads(self._read)
        self._unfinished: dict[str, UnfinishedImage] = {}
        self._turns = threading.Semaphore(_COMPRESSED_AT_ONCE)

    def find(self, name: str) -> EngineImage | None:
        """Return an image that was made or read here, by name, or None."""
        record = self._images.find(name)
        return None if record is None else _described(record)

    def pull(self, name: str, architecture: str) -> EngineImage:
        """Read a root image's manifest and configuration from its registry.

        Raises
        ------
        ImageBuildError
            When they cannot be read.
        """
        record = self._roots.read(name, architecture)
        known = self._images.find(name)
        if known is not None and known.id == record.id:
            record = known
        self._images.keep(name, record)
        return _described(record)

    def build(
        self,
        members: Iterable[Member],
        name: str,
        *,
        architecture: str,  # noqa: ARG002 - that of the image below
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        target: str = "",  # noqa: ARG002 - a stage of commands, which are refused
        no_cache: bool = False,  # noqa: ARG002 - no instruction depends on the time
    ) -> str:
        """Compose an image from a context; return its name, or an ID for one without a name.

        The layers of one without a name are compressed and uploaded meanwhile.

        Raises
        ------
        ImageBuildError
            When the Dockerfile has an instruction that needs an engine, or a layer cannot be made.
        """
        context = {member.name: member for member in members}
        text = b"".join(map(_bytes, context["Dockerfile"].content)).decode()
        steps = tuple(instructions(text))
        _refuse_commands(steps, context)
        (below,) = arguments.values()
        repository = self._open_target()
        unfinished = self._unfinished.pop(below, None)
        given_up = unfinished.given_up if unfinished is not None else Cancellation()

        def layer_of(step: Instruction) -> Future[Layer] | None:
            if step.name != "ADD":
                return None
            archive = _archives(context[step.arguments.split()[0]])

            def make() -> Layer:
                with self._turns:
                    made = self._layers.layer(without_duplicates(archive), cancellable.check)
                self._uploads.begin(repository, made)
                return made

            return in_background(make, given_up)

        made = tuple((step, layer_of(step)) for step in steps)
        if unfinished is not None:
            merged = replace(
                unfinished,
                steps=(*unfinished.steps, *made),
                labels={**unfinished.labels, **labels},
            )
        else:
            base = self._images.find(below)
            if base is None:
                raise ImageBuildError(f"Image {below} is not here.")
            for layer in base.layers:
                self._uploads.begin(repository, layer)
            merged = UnfinishedImage(base, made, labels, given_up)
        if not name:
            key = f"unfinished:{id(merged)}"
            self._unfinished[key] = merged
            return key
        try:
            self._images.keep(name, merged.result())
        except BaseException:
            self._uploads.cancel(merged.give_up())
            raise
        return name

    def push(self, name: str, login: RegistryLogin) -> str:  # noqa: ARG002 - has its own
        """Upload an image, its tag last; return its manifest's ``sha256:…`` digest.

        Raises
        ------
        RegistryError
            When the registry refuses any part of it.
        """
        record = self._images.find(name)
        if record is None:
            raise ImageBuildError(
                f"Image {name} is not here, or one of its layers was damaged.", hint="Try again."
            )
        repository = self._open_target()
        config, manifest = record.config_json, record.manifest
        tag = parse(name).version
        for attempt in range(1, _ATTEMPTS + 1):
            self._uploads.finish(repository, record.layers, progress.report)
            repository.upload(record.id, len(config), lambda: [config])
            try:
                return repository.put_manifest(tag, MANIFEST_TYPE, manifest)
            except BlobMissing:
                if attempt == _ATTEMPTS:
                    raise
                self._uploads.forget(record.layers)
        raise AssertionError("unreachable")

    def remove(self, name: str) -> None:
        """Forget an image; an absent one does not matter. One that is unfinished is given up."""
        unfinished = self._unfinished.pop(name, None)
        if unfinished is not None:
            self._uploads.cancel(unfinished.give_up())
        self._images.remove(name)

    def container(
        self,
        image: str,  # noqa: ARG002 - none is run
        architecture: str,  # noqa: ARG002
        *,
        offline: bool = False,  # noqa: ARG002
    ) -> AbstractContextManager[Container]:
        """Refuse: there are no containers.

        Raises
        ------
        CannotRun
        """
        raise CannotRun("This needs a container, and there is no Docker engine.")

    def read(
        self,
        image: str,
        architecture: str,  # noqa: ARG002 - the image's own
        paths: Sequence[str],
    ) -> list[ImageFile | None]:
        """Return files of a root image, each from where its links lead to."""
        name, record = self._images.by_id(image)
        with scratch(self._cache) as folder:
            with self._roots.downloaded(record, folder) as downloads:
                # Each is read while the next ones are downloaded.
                found, sizes = read_files(map(cancellable.result, downloads), paths)
            layers = tuple(
                replace(layer, diff_size=size)
                for layer, size in zip(record.layers, sizes, strict=True)
            )
            for layer, download in zip(layers, downloads, strict=True):
                self._upload_downloaded(layer, download.result())
        self._images.keep(name, replace(record, layers=layers))
        return found

    def _upload_downloaded(self, layer: Layer, file: Path) -> None:
        """Have a root's layer uploaded from a file, so that it is not downloaded twice."""
        kept = ExitStack()
        link = kept.enter_context(scratch(self._cache)) / "layer"
        link.hardlink_to(file)
        self._uploads.begin(self._open_target(), layer, lambda: pieces([link]), kept.close)

    def _read(self, layer: Layer) -> Iterator[bytes]:
        return self._roots.blob(layer) if layer.source else self._layers.read(layer)


def _described(record: ImageRecord) -> EngineImage:
    return EngineImage(
        id=record.id,
        architecture=lambda_architecture(str(record.config.get("architecture"))),
        size=sum(layer.diff_size for layer in record.layers),
        labels=record.labels,
    )


def _refuse_commands(steps: Sequence[Instruction], context: Mapping[str, Member]) -> None:
    if any(step.name == "RUN" for step in steps):
        archive = context.get("commands.tar")
        raise ImageBuildError(
            f"The image has {sum(step.name == 'RUN' for step in steps)} commands of DepsBash, "
            "which run in a container when it is built, but there is no Docker engine."
            if archive
            else "A command of the image needs a container, but there is no Docker engine.",
            hint="Run them before each task, with the option bash_deps='runtime', or build the "
            "image where there is an engine: 'covalent-lambda prebuild --builder docker'.",
        )


def _archives(member: Member) -> list[bytes | Path]:
    contents = [content for content in member.content if not isinstance(content, Part)]
    assert len(contents) == len(member.content), "archives are whole files"
    return contents


def _bytes(content: object) -> bytes:
    assert isinstance(content, bytes)
    return content
