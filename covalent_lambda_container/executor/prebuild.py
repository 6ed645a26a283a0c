"""Finds or creates images and functions before any task needs them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.errors import ConfigurationError, LambdaContainerError
from covalent_lambda_container.executor.image_spec import (
    ContentsOf,
    image_spec,
    nothing_known,
)
from covalent_lambda_container.executor.service import Service
from covalent_lambda_container.functions.description import description
from covalent_lambda_container.model.specs import ImageReference, ImageSpec
from covalent_lambda_container.options.resolve import overridden
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import without_hashes
from covalent_lambda_container.progress import ReportProgress

Item = TypeVar("Item")
Made = TypeVar("Made")


class WorkItem(Protocol):
    """A task with its name and its executor's options."""

    @property
    def name(self) -> str: ...
    @property
    def task(self) -> Task: ...
    @property
    def options(self) -> Options: ...


@dataclass(frozen=True, kw_only=True, eq=False)
class BuildTarget:
    """An image and a function that tasks need.

    Parameters
    ----------
    spec
        The image.
    options
        Options of the function.
    names
        The tasks.
    """

    spec: ImageSpec
    options: Options
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TargetStatus:
    """The existing parts of a target.

    Parameters
    ----------
    target
        The image and the function.
    image
        The image in the registry; None if it does not exist.
    function
        Name of the function; empty while there is no image, since it follows from the image.
    function_exists
        Whether the function exists.
    """

    target: BuildTarget
    image: ImageReference | None
    function: str = ""
    function_exists: bool = False


def build_targets(
    tasks: Iterable[WorkItem],
    given: Mapping[str, Any],
    python_version: str | None,
    contents_of: Callable[[Options], ContentsOf],
) -> tuple[list[BuildTarget], list[LambdaContainerError]]:
    """Return the images and functions that tasks need, without duplicates.

    Second is why some tasks cannot have any; an error that several tasks have is there once.

    Parameters
    ----------
    given
        Options that override those of the tasks' executors, as `specified` reads them.
    python_version
        Minor version of Python that overrides that of the tasks.
    contents_of
        Returns, for options, the function that reads the contents of images in their registry;
        used for tasks with values as arguments.
    """
    targets: dict[tuple[str, str], BuildTarget] = {}
    failures: dict[str, LambdaContainerError] = {}
    for item in tasks:
        task = item.task
        if python_version:
            task = replace(task, python_version=python_version)
        try:
            options = overridden(item.options, given)
            known = contents_of(options) if task.origins else nothing_known
            spec = image_spec(options, task, contents_of=known)
        except LambdaContainerError as exc:
            failures.setdefault(str(exc), exc)
            continue
        key = spec.digest, options.model_dump_json()
        target = targets.get(key) or BuildTarget(spec=spec, options=options, names=())
        names = dict.fromkeys((*target.names, item.name))
        targets[key] = replace(target, names=tuple(names))
    return list(targets.values()), list(failures.values())


def look(target: BuildTarget, service: Service, *, with_function: bool) -> TargetStatus:
    """Look up an image and its function; create nothing."""
    image = service.provisioner.find_image(target.spec)
    if image is None or not with_function:
        return TargetStatus(target=target, image=image)
    spec = service.function_spec(image)
    exists = service.provisioner.find_function(spec)
    return TargetStatus(target=target, image=image, function=spec.name, function_exists=exists)


def make(
    target: BuildTarget, service: Service, *, with_function: bool, report: ReportProgress
) -> TargetStatus:
    """Create an image and its function if they do not exist."""
    rebuild = target.options.force_rebuild
    image = service.provisioner.ensure_image(target.spec, report, rebuild=rebuild)
    if not with_function:
        return TargetStatus(target=target, image=image)
    name = service.provisioner.ensure_function(
        service.function_spec(image),
        report,
        description=description(target.names, map(without_hashes, target.spec.requirements)),
    )
    return TargetStatus(target=target, image=image, function=name, function_exists=True)


def build_here(target: BuildTarget, service: Service) -> str:
    """Build an image in the Docker engine only; return its name there.

    Raises
    ------
    ConfigurationError
        The options select a builder without an engine.
    """
    if target.options.builder == "registry":
        raise ConfigurationError(
            "--no-push builds in the Docker engine; builder='registry' has none.",
            hint="Use --builder docker.",
        )
    return service.provisioner.build_here(target.spec)


def in_parallel(
    work: Callable[[Item], Made], items: Sequence[Item], *, at_once: int
) -> Iterator[tuple[Item, Made | Exception]]:
    """Process items in parallel; yield each with its result or error, as they finish.

    The threads are daemons: an interrupted program ends without waiting for builds, which the
    engine aborts when their connection closes.
    """
    waiting: queue.SimpleQueue[Item] = queue.SimpleQueue()
    ended: queue.SimpleQueue[tuple[Item, Made | Exception]] = queue.SimpleQueue()
    for item in items:
        waiting.put(item)

    def work_through() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                ended.put((item, work(item)))
            except Exception as exc:
                ended.put((item, exc))

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=work_through, name="covalent-lambda-prebuild", daemon=True).start()
    for _ in items:
        yield ended.get()
