"""From a spec to an image in the engine: base, packages and runtime, each made once.

What can be done on this machine is done here, from wheels, and never by Docker: an index's
credentials do not come near an image, and what was made once serves every later image.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from covalent_lambda_container import progress, step_log
from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member, body, files
from covalent_lambda_container.files.cache_folder import LONGEST_BUILD_S, SCRATCH, using
from covalent_lambda_container.images.byte_code import PackageCompiler
from covalent_lambda_container.images.distributions import (
    Distribution,
    check_modules,
    distributions_in,
    lock_text,
    modules_text,
    unclaimed,
)
from covalent_lambda_container.images.dockerfile import (
    EMULATOR,
    INTERFACE_CLIENT,
    INTERFACE_ROOT,
    REQUIREMENTS,
    TASK_ROOT,
    interface_context,
    interface_recipe,
    local_sources,
    packages_context,
    packages_key,
    runtime_context,
    runtime_sources,
)
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.package_archives import (
    DistributionPart,
    Layer,
    PackageArchive,
    in_layers,
)
from covalent_lambda_container.images.root_image import find_root_image
from covalent_lambda_container.model.image_labels import (
    BASE_REPOSITORY,
    PACKAGES_REPOSITORY,
    contents,
    packages_label,
    spec_label,
)
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.engine import Container, Engine
from covalent_lambda_container.ports.installer import WheelsMissing
from covalent_lambda_container.ports.registry import RegistryLogin
from covalent_lambda_container.runtime.provenance import MODULES_FILE

LOCK_FILE: Final = "requirements.lock"
"""Beside the packages: a requirements file that pins what was installed."""

_EMULATOR_FILE: Final = "samcli/local/rapid/aws-lambda-rie-{architecture}"
_LARGEST_NAMED: Final = 10
_MB: Final = 1 << 20


class TaskImageBuilder:
    """Builds task images and pushes them.

    Parameters
    ----------
    engine
        Where images are built.
    installer
        Installs packages into a folder.
    cache
        Folder for what serves later builds. It can be removed at any time.
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

    def build(self, spec: ImageSpec, name: str, *, anew: bool = False) -> None:
        """Build the image of a spec and tag it ``name`` in the engine.

        With `anew`, from what the index has now, and on what the root image's name stands for now.

        Raises
        ------
        VersionMismatch
            When the root image has another Python than the client; nothing was built.
        ImageBuildError
            When no engine answers, the packages cannot be installed, or the image would be too
            large; no image of that name is left.
        """
        with using(self._cache), ExitStack() as cleanup:

            @functools.cache
            def started(image: str) -> Container:
                container = self._engine.container(image, spec.architecture, offline=True)
                return cleanup.enter_context(container)

            progress.report(f"looking for {spec.base_image}")
            root = find_root_image(self._engine, spec, self._cache / "roots", started, newest=anew)
            self._remove_leftovers()
            # On the file system of the caches, so that files can be linked instead of copied.
            folder = tempfile.TemporaryDirectory(prefix=SCRATCH, dir=self._cache)
            scratch = Path(cleanup.enter_context(folder))
            compiler = PackageCompiler(started, root, self._cache, scratch)
            limit = self._max_image_mb * _MB
            build = _Build(self._engine, self._installer, compiler, spec, limit, anew=anew)
            build.run(name)

    def _remove_leftovers(self) -> None:
        oldest = time.time() - LONGEST_BUILD_S
        for folder in self._cache.glob(f"{SCRATCH}*"):
            # Another process may be faster.
            with contextlib.suppress(FileNotFoundError):
                if folder.stat().st_mtime < oldest:
                    shutil.rmtree(folder, ignore_errors=True)

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push a local image and return the ``sha256:…`` digest of its manifest.

        Raises
        ------
        RegistryError
            When the registry refuses any part of it.
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
        limit: int,
        *,
        anew: bool,
    ) -> None:
        self._engine = engine
        self._installer = installer
        self._compiler = compiler
        self._root = compiler.root
        self._scratch = compiler.scratch
        self._spec = spec
        self._limit = limit
        self._anew = anew

    def run(self, name: str) -> None:
        base = self._base()
        # What is compiled and packed is so while packages are downloaded and images built.
        background = ThreadPoolExecutor(1, thread_name_prefix="covalent-lambda-build")
        try:
            last = background.submit(self._runtime)
            packages = self._packages(base, background)
            progress.report("adding the runtime")
            self._make(
                last.result(), name, {"PACKAGES_IMAGE": packages}, spec_label(self._spec.json)
            )
        finally:
            background.shutdown(cancel_futures=True)
        made = self._engine.find(name)
        if made is not None and made.size > self._limit:
            self._engine.remove(name)
            self._engine.remove(packages)
            found = contents(made.labels)
            raise self._too_large(made.size, found.packages if found else {})

    def _runtime(self) -> list[Member]:
        """Return the context of the last layers."""
        own_code = local_sources(self._spec.local_packages)
        return runtime_context(
            self._byte_compiled(runtime_sources()), self._byte_compiled(own_code)
        )

    def _byte_compiled(self, sources: list[Member]) -> list[Member]:
        """Return sources with their byte code."""
        return [*sources, *files(self._compiler.compiled(sources))] if sources else []

    def _base(self) -> str:
        """Return the name of the base, which is made if it is not in the engine."""
        spec, root = self._spec, self._root
        name = interface_image_name(spec, root.id)
        if self._engine.find(name):
            return name
        progress.report("building the base")
        interface = emulator = None
        if not root.has_interface:
            client, tools = self._scratch / "client", self._scratch / "tools"
            install = functools.partial(
                self._installer.install_wheels, scratch=self._scratch, spec=spec, root=root
            )
            try:
                install({REQUIREMENTS: INTERFACE_CLIENT}, client)
                install({REQUIREMENTS: EMULATOR}, tools, options=("--no-deps",))
            except WheelsMissing as exc:
                raise ImageBuildError(
                    f"Lambda's runtime interface cannot be installed on {spec.base_image}:\n{exc}",
                    hint="Give a base_image that has it, such as AWS's own.",
                ) from exc
            packed = self._compiler.archives(
                [DistributionPart(each) for each in distributions_in(client)], INTERFACE_ROOT
            )
            interface = Layer(name="interface.tar", archives=tuple(packed))
            emulator = tools / _EMULATOR_FILE.format(architecture=spec.architecture)
        self._make(
            interface_context(interface, emulator), name, {"ROOT_IMAGE": spec.base_image}, {}
        )
        return name

    def _packages(self, base: str, background: Executor) -> str:
        """Return the name of the image of a spec without the runtime, made if it is not there.

        One that is there stays as it is: an unpinned requirement is what it was when it was built.
        """
        spec = self._spec
        name = packages_image_name(spec, base)
        if not self._anew and self._engine.find(name):
            return name
        stage = self._scratch / "stage"
        with step_log.step("image.install", name) as facts:
            count = len(spec.requirements)
            noun = "requirement" if count == 1 else "requirements"
            progress.report(f"installing the packages of {count} {noun}")
            system = functools.partial(self._system, base)
            self._installer.install(
                spec, self._root, system, stage, self._scratch, refresh=self._anew
            )
            found = distributions_in(stage)
            check_modules(found)
            facts["packages"] = [each.pinned for each in found]
        self._check_size(base, found)
        self._stack(name, base, len(found), self._layers(found, stage, background))
        return name

    def _check_size(self, base: str, found: Sequence[Distribution]) -> None:
        """Refuse what would be too large even without byte code, before anything is built."""
        sizes = {each.pinned: each.size for each in found}
        below = self._engine.find(base)
        size = sum(sizes.values()) + (below.size if below else 0)
        if size > self._limit:
            raise self._too_large(size, sizes)

    def _layers(
        self, found: Sequence[Distribution], stage: Path, background: Executor
    ) -> list[Future[Layer]]:
        """Return the layers of distributions, which are being made in their order."""
        groups = in_layers(found)

        def make(number: int, group: Sequence[DistributionPart]) -> Layer:
            packed = self._compiler.archives(group, TASK_ROOT)
            if number == len(groups):
                packed.append(_set_archive(found, stage, self._scratch))
            return Layer(name=f"{number:02d}.tar", archives=tuple(packed))

        return [background.submit(make, number, group) for number, group in enumerate(groups, 1)]

    def _stack(self, name: str, base: str, count: int, layers: Sequence[Future[Layer]]) -> None:
        """Put layers on a base, one after the other, each while the next is packed."""
        spec, top, sizes = self._spec, base, Counter[str]()
        try:
            for number, made in enumerate(layers, 1):
                progress.report(f"adding layer {number} of {len(layers)}: {count} packages")
                layer, last = made.result(), made is layers[-1]
                for archive in layer.archives:
                    if archive.requirement:
                        sizes[archive.requirement] += archive.size
                top = self._make(
                    packages_context(spec, [layer]),
                    name if last else "",
                    {"INTERFACE_IMAGE": top},
                    packages_label(sizes) if last else {},
                    # A rebuild runs the commands again.
                    no_cache=self._anew,
                )
                # They have run, below the first layer.
                spec = replace(spec, commands=())
        except BaseException:
            if top != base:
                with contextlib.suppress(ImageBuildError):
                    self._engine.remove(top)
            raise

    def _system(self, base: str) -> str:
        """Return an image with what DepsBash installs: compilers may come from there."""
        if not self._spec.commands:
            return base
        context = packages_context(self._spec, ())
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
        return self._engine.build(
            context,
            name,
            architecture=self._spec.architecture,
            arguments=arguments,
            labels=labels,
            target=target,
            no_cache=no_cache,
        )

    def _too_large(self, size: int, sizes: Mapping[str, int]) -> ImageBuildError:
        largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:_LARGEST_NAMED]
        listed = "\n".join(f"  {sizes[name] / _MB:8.1f} MB  {name}" for name in largest)
        return ImageBuildError(
            f"Image {self._spec.tag} would have {size / _MB:,.0f} MB uncompressed; at most "
            f"{self._limit / _MB:,.0f} MB are allowed. Its largest distributions:\n{listed}",
            hint="Require fewer or smaller packages. Lambda takes images of up to 10,240 MB; the "
            "option max_image_mb may ask for less.",
        )


def interface_image_name(spec: ImageSpec, root_id: str) -> str:
    """Return the name that the base of a spec, on the root image of an ID, has in the engine."""
    parts = root_id, interface_recipe(), INTERFACE_CLIENT, EMULATOR
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"{BASE_REPOSITORY}:{spec.python_version}-{spec.architecture}-{key}"


def packages_image_name(spec: ImageSpec, base: str) -> str:
    """Return the name that a spec's packages, on a base, have in the engine."""
    return f"{PACKAGES_REPOSITORY}:{packages_key(spec, base)[:32]}"


def _set_archive(
    distributions: Sequence[Distribution], stage: Path, scratch: Path
) -> PackageArchive:
    """Return what belongs to a set of distributions and to none of them."""
    members = [
        Member(name=f"{TASK_ROOT}/{path}", content=(stage / path,))
        for path in unclaimed(stage, distributions)
    ]
    members += files(
        {
            f"{TASK_ROOT}/{LOCK_FILE}": lock_text(distributions).encode(),
            f"{TASK_ROOT}/{MODULES_FILE}": modules_text(distributions).encode(),
        }
    )
    file = scratch / "set.tar"
    with file.open("wb") as out:
        out.writelines(body(members, folders=True))
    return PackageArchive(requirement="", file=file, size=file.stat().st_size)
