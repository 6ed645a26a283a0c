"""Turns a spec into an image in the engine: interface, packages and runtime, in this order.

Packages are installed from wheels and compiled on this machine, not by the engine: credentials
of an index stay out of the image, and later images reuse the results of earlier builds.
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from covalent_lambda_container import progress, step_log
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import Background, background
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member, files
from covalent_lambda_container.files.cache_folder import (
    disk_errors_explained,
    remove_leftovers,
    scratch,
    using,
)
from covalent_lambda_container.images.byte_code import PackageCompiler
from covalent_lambda_container.images.commands import explained
from covalent_lambda_container.images.distributions import (
    Distribution,
    check_modules,
    distributions_in,
)
from covalent_lambda_container.images.dockerfile import (
    local_sources,
    packages_context,
    packages_key,
    runtime_context,
    runtime_sources,
)
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.interface_image import (
    interface_image_name,
    interface_members,
)
from covalent_lambda_container.images.package_archives import Layer
from covalent_lambda_container.images.package_layers import package_layers
from covalent_lambda_container.images.root_image import find_root_image
from covalent_lambda_container.images.size_limit import SizeLimit
from covalent_lambda_container.model.image_labels import (
    PACKAGES_REPOSITORY,
    contents,
    packages_label,
    spec_label,
)
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.engine import Container, Engine
from covalent_lambda_container.ports.registry import RegistryLogin


class TaskImageBuilder:
    """Builds task images and pushes them.

    Parameters
    ----------
    engine
        The engine that builds the images.
    installer
        Installs packages into a folder.
    cache
        Folder for files that later builds reuse. It can be removed at any time.
    max_image_mb
        Largest size of an image, uncompressed.
    """

    def __init__(
        self, engine: Engine, installer: PackageInstaller, cache: Path, *, max_image_mb: int
    ) -> None:
        self._engine = engine
        self._installer = installer
        self._cache = cache
        self._max_image_mb = max_image_mb

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        """Build the image of a spec and tag it ``name`` in the engine.

        With `rebuild`, uses the index's current packages and the current root image of its name.

        Raises
        ------
        VersionMismatch
            The root image's Python differs from the client's; nothing was built.
        ImageBuildError
            When no engine answers, the packages cannot be installed, or the image would be too
            large; no image of that name is left.
        Cancelled
            The work was cancelled.
        """
        if (commands := spec.commands + spec.late_commands) and not self._engine.runs_containers:
            raise ImageBuildError(
                f"The command {commands[0]!r} of DepsBash runs in a container when the image "
                "is built, and there is no Docker engine.",
                hint="Set bash_deps='runtime' to run it before each task, or build the image where "
                "there is an engine: 'covalent-lambda prebuild --builder docker'.",
            )
        with disk_errors_explained(self._cache), using(self._cache), ExitStack() as cleanup:

            @functools.cache
            def started(image: str) -> Container:
                container = self._engine.container(image, spec.architecture, offline=True)
                return cleanup.enter_context(container)

            progress.report(f"looking for {spec.base_image}")
            root = find_root_image(
                self._engine, spec, self._cache / "roots", started, newest=rebuild
            )
            remove_leftovers(self._cache)
            # On the caches' file system, so that files can be linked instead of copied.
            folder = cleanup.enter_context(scratch(self._cache))
            compiler = PackageCompiler(started, root, self._cache, folder)
            limit = SizeLimit(max_mb=self._max_image_mb, tag=spec.tag)
            build = _Build(self._engine, self._installer, compiler, spec, limit, rebuild=rebuild)
            with explained(spec):
                build.run(name)

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image and return the ``sha256:…`` digest of its manifest.

        Raises
        ------
        RegistryError
            The registry refuses any part of it.
        """
        return self._engine.push(name, login)


class _Build:
    """One build."""

    def __init__(
        self,
        engine: Engine,
        installer: PackageInstaller,
        compiler: PackageCompiler,
        spec: ImageSpec,
        limit: SizeLimit,
        *,
        rebuild: bool,
    ) -> None:
        self._engine = engine
        self._installer = installer
        self._compiler = compiler
        self._root = compiler.root
        self._scratch = compiler.scratch
        self._spec = spec
        self._limit = limit
        self._rebuild = rebuild
        authorities = installer.authorities() if spec.commands + spec.late_commands else None
        self._context = functools.partial(packages_context, authorities=authorities)

    def run(self, name: str) -> None:
        base = self._interface_image()
        # Layers are created while packages are downloaded and other layers are built. An engine
        # itself keeps one core busy; without one, all cores compile.
        workers = 1 if self._engine.runs_containers else os.cpu_count() or 1
        with background(workers, "covalent-lambda-build") as threads:
            last = threads.submit(self._runtime)
            packages = self._packages(base, threads)
            progress.report("adding the runtime")
            context = cancellable.result(last)
            self._make(context, name, {"PACKAGES_IMAGE": packages}, spec_label(self._spec.json))
        self._check_image(name, packages)

    def _check_image(self, name: str, packages: str) -> None:
        """Remove the image and raise if it is too large."""
        made = self._engine.find(name)
        if made is None:
            return
        found = contents(made.labels)
        try:
            self._limit.check(made.size, found.packages if found else {})
        except ImageBuildError:
            self._engine.remove(name)
            self._engine.remove(packages)
            raise

    def _runtime(self) -> list[Member]:
        """Return the build context of the last layers."""
        own_code = local_sources(self._spec.local_packages)
        return runtime_context(
            self._byte_compiled(runtime_sources()), self._byte_compiled(own_code)
        )

    def _byte_compiled(self, sources: list[Member]) -> list[Member]:
        """Return sources with their byte code."""
        return [*sources, *files(self._compiler.compiled(sources))] if sources else []

    def _interface_image(self) -> str:
        """Return the name of the interface image; it is built if the engine does not have it."""
        name = interface_image_name(self._spec, self._root.id)
        if not self._engine.find(name):
            progress.report("building the base")
            context = interface_members(self._installer, self._compiler, self._spec)
            self._make(context, name, {"ROOT_IMAGE": self._spec.base_image}, {})
        return name

    def _packages(self, base: str, threads: Background) -> str:
        """Return the name of the packages image; it is built if the engine does not have it.

        An existing one is kept: unpinned requirements keep the versions of its build.
        """
        spec = self._spec
        name = packages_image_name(spec, base)
        if not self._rebuild and self._engine.find(name):
            return name
        stage = self._scratch / "stage"
        with step_log.step("image.install", name) as facts:
            count = len(spec.requirements)
            noun = "requirement" if count == 1 else "requirements"
            progress.report(f"installing the packages of {count} {noun}")
            system = functools.partial(self._system, base)
            self._installer.install(
                spec, self._root, system, stage, self._scratch, refresh=self._rebuild
            )
            found = distributions_in(stage)
            check_modules(found)
            facts["packages"] = [each.pinned for each in found]
        self._check_size(base, found)
        layers = package_layers(self._compiler, found, stage, threads)
        self._stack(name, base, len(found), layers)
        return name

    def _check_size(self, base: str, found: Sequence[Distribution]) -> None:
        """Refuse packages that are too large even without byte code, before they are built."""
        sizes = {each.pinned: each.size for each in found}
        below = self._engine.find(base)
        self._limit.check(sum(sizes.values()) + (below.size if below else 0), sizes)

    def _stack(self, name: str, base: str, count: int, layers: Sequence[Future[Layer]]) -> None:
        """Add layers to an image one by one, each while the next one is created."""
        spec, top, sizes = self._spec, base, Counter[str]()
        try:
            for number, made in enumerate(layers, 1):
                progress.report(f"adding layer {number} of {len(layers)}: {count} packages")
                layer, last = cancellable.result(made), made is layers[-1]
                for archive in layer.archives:
                    if archive.requirement:
                        sizes[archive.requirement] += archive.size
                top = self._make(
                    self._context(spec if last else replace(spec, late_commands=()), [layer]),
                    name if last else "",
                    {"INTERFACE_IMAGE": top},
                    packages_label(sizes) if last else {},
                    # A rebuild runs the commands again.
                    no_cache=self._rebuild,
                )
                # The commands ran below the first layer.
                spec = replace(spec, commands=())
        except BaseException:
            if top != base:
                with contextlib.suppress(ImageBuildError):
                    self._engine.remove(top)
            raise

    def _system(self, base: str) -> str:
        """Return an image with everything that DepsBash installs, such as compilers."""
        if not self._spec.commands:
            return base
        context = self._context(replace(self._spec, late_commands=()), ())
        return self._make(context, "", {"INTERFACE_IMAGE": base}, {}, target="system")

    def _make(
        self,
        context: list[Member],
        name: str,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
        target: str = "",
        *,
        no_cache: bool = False,
    ) -> str:
        cancellable.check()
        return self._engine.build(
            context,
            name,
            architecture=self._spec.architecture,
            arguments=arguments,
            labels=labels,
            target=target,
            no_cache=no_cache,
        )


def packages_image_name(spec: ImageSpec, base: str) -> str:
    """Return the engine's name for a spec's packages image, on an interface image."""
    return f"{PACKAGES_REPOSITORY}:{packages_key(spec, base)[:32]}"
