"""Turns a spec into an image in the registry and a function that can be invoked.

Nothing is created twice: within a process one caller does the work and the others wait for it,
between processes of a machine a file lock does the same, and between machines the registry decides.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from covalent_lambda_container import step_log
from covalent_lambda_container.concurrency.single_flight import SingleFlight
from covalent_lambda_container.errors import (
    ConfigurationError,
    ProvisionError,
    UnusableImage,
)
from covalent_lambda_container.files.cache_folder import make_private
from covalent_lambda_container.files.locks import locked
from covalent_lambda_container.functions.image_publisher import ImagePublisher
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import FunctionSpec, ImageReference, ImageSpec
from covalent_lambda_container.ports.functions import FAILED, PENDING, Functions, FunctionState
from covalent_lambda_container.ports.registry import ImageBuilder, Registry
from covalent_lambda_container.progress import ReportProgress

log = logging.getLogger(__name__)

_LOCAL_REPOSITORY: Final = "covalent-lambda"
"""Name of images that are built and not pushed."""

_BUILD_PATIENCE_S: Final = 3600.0
"""Few builds take longer; a process that hangs must not block the others forever."""


def _silent(_: str) -> None:
    pass


class Provisioner:
    """Ensures that images and functions exist.

    Parameters
    ----------
    builder, registry, functions
        The outside systems.
    lock_directory
        Folder for lock files that all processes of this machine share.

    Attributes
    ----------
    rebuilds
        Number of images that this process has rebuilt: images found earlier may be outdated.
    """

    def __init__(
        self,
        *,
        builder: ImageBuilder,
        registry: Registry,
        functions: Functions,
        lock_directory: Path,
    ) -> None:
        self._builder = builder
        self._publisher = ImagePublisher(builder, registry)
        self._registry = registry
        self._functions = functions
        self._lock_directory = lock_directory
        self._images: SingleFlight[ImageSpec, ImageReference] = SingleFlight()
        self._contents: SingleFlight[tuple[str, int], ImageContents | None] = SingleFlight()
        self._rebuilt: SingleFlight[ImageSpec, None] = SingleFlight()
        self.rebuilds = 0
        self._names: SingleFlight[FunctionSpec, str] = SingleFlight()

    def find_image(self, spec: ImageSpec) -> ImageReference | None:
        """Return the image of a spec, or None if the registry does not have it."""
        return self._registry.find(spec.tag)

    def ensure_image(
        self, spec: ImageSpec, report: ReportProgress = _silent, *, rebuild: bool = False
    ) -> ImageReference:
        """Return the image of a spec, building and pushing it only if the registry has none.

        Parameters
        ----------
        spec
            The image's spec.
        report
            Called at the start of each long step.
        rebuild
            Build and push the image even if the registry has it; once in this process.
        """
        if rebuild:
            self._rebuilt.get(spec, lambda: self._rebuild(spec, report))
        return self._images.get(spec, lambda: self._find_or_build(spec, report))

    def installed(self, spec: ImageSpec) -> frozenset[str]:
        """Return the pins of all packages in the image of a spec, from its labels.

        Raises
        ------
        RegistryError
            The image's configuration cannot be read.
        """
        contents = self.contents(spec.tag)
        return frozenset(contents.packages) if contents else frozenset()

    def contents(self, tag: str) -> ImageContents | None:
        """Return the contents of the image with a tag, from its labels; None if these lack them.

        Raises
        ------
        RegistryError
            There is no such image, or its configuration cannot be read.
        """
        return self._contents.get((tag, self.rebuilds), lambda: self._registry.contents(tag))

    def build_here(self, spec: ImageSpec) -> str:
        """Build the image of a spec without pushing it, and return its name in the engine."""
        name = f"{_LOCAL_REPOSITORY}:{spec.tag}"
        with step_log.step("image.build", name):
            self._builder.build(spec, name)
        return name

    def find_function(self, spec: FunctionSpec) -> bool:
        """Return whether the function of a spec exists and can be invoked, now or soon."""
        state = self._functions.find(spec.name)
        return state is not None and state.state != FAILED

    def ensure_function(
        self, spec: FunctionSpec, report: ReportProgress = _silent, *, description: str = ""
    ) -> str:
        """Return the name of the function of a spec, creating the function if it does not exist.

        Parameters
        ----------
        spec
            The function's spec.
        report
            Called at the start of each long step.
        description
            Its purpose, for Lambda's console; an existing function keeps its own.
        """
        return self._names.get(spec, lambda: self._find_or_create(spec, report, description))

    def forget(self, image: ImageSpec, function: FunctionSpec) -> None:
        """Forget an image and its function, which have turned out not to exist."""
        self._names.forget(function)
        self._images.forget(image)

    def _find_or_build(self, spec: ImageSpec, report: ReportProgress) -> ImageReference:
        found = self._registry.find(spec.tag)
        if found:
            return found
        with self._locked(spec):
            # Another process may have built it while this one waited.
            return self._registry.find(spec.tag) or self._publisher.publish(spec, report)

    def _rebuild(self, spec: ImageSpec, report: ReportProgress) -> None:
        with self._locked(spec):
            replaced = None
            with contextlib.suppress(UnusableImage):
                replaced = self._registry.find(spec.tag)
            self._publisher.publish(spec, report, replaced=replaced, rebuild=True)
        self._images.forget(spec)
        self.rebuilds += 1

    @contextlib.contextmanager
    def _locked(self, spec: ImageSpec) -> Iterator[None]:
        """Make other processes of this machine wait while this one builds an image."""
        file = self._lock_directory / f"{spec.tag}.lock"

        def waiting(who: str) -> None:
            log.warning("Image %s is being built by %s, which holds %s.", spec.tag, who, file)

        with contextlib.ExitStack() as cleanup:
            try:
                make_private(self._lock_directory)
                held = cleanup.enter_context(
                    locked(file, patience_s=_BUILD_PATIENCE_S, waiting=waiting)
                )
            except OSError as exc:
                raise ConfigurationError(
                    f"Image {spec.tag} is not in ECR and cannot be built: {self._lock_directory} "
                    f"cannot be written to: {exc}.",
                    hint="Set the option cache_dir to a folder that the dispatcher may write to.",
                ) from exc
            if held is None:
                log.warning("Image %s is built here too: %s is still locked.", spec.tag, file)
            else:
                # One file per image would add up.
                cleanup.callback(file.unlink, missing_ok=True)
            yield

    def _find_or_create(self, spec: FunctionSpec, report: ReportProgress, description: str) -> str:
        name = spec.name
        state = self._functions.find(name)
        if state is None:
            state = self._create(spec, report, description)
        elif state.state == PENDING:
            state = self._functions.wait_active(name)
        if state.state == FAILED:
            log.warning("Function %s is Failed (%s) and is created again.", name, state.reason)
            self._functions.delete(name)
            state = self._create(spec, report, description)
        if state.state == FAILED:
            raise ProvisionError(f"Function {name} could not be created: {state.reason}")
        return name

    def _create(
        self, spec: FunctionSpec, report: ReportProgress, description: str
    ) -> FunctionState:
        report("creating the function")
        with step_log.step("function.create", spec.name):
            self._functions.create(spec, description)
            return self._functions.wait_active(spec.name)
