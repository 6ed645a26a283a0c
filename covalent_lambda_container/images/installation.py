"""From a spec's requirements to a folder of distributions.

Wheels are installed on this machine. What there is no wheel of is built where nothing of it stays:
in a container of the image's own system, that is thrown away.
"""

from __future__ import annotations

import functools
import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement
from packaging.utils import canonicalize_name

from covalent_lambda_container import progress
from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict
from covalent_lambda_container.images.dockerfile import (
    CLOUDPICKLE,
    REQUIREMENTS,
    requirements_files,
)
from covalent_lambda_container.images.root_image import RootImage
from covalent_lambda_container.images.sdk_wheel import SdkWheels, required_by
from covalent_lambda_container.images.source_builds import (
    SourceBuilder,
    sources,
)
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.install_failures import not_built, not_tried
from covalent_lambda_container.packages.installer_output import names_to_build, shortened
from covalent_lambda_container.packages.requirements import has_hash, parsed
from covalent_lambda_container.packages.value_requirements import left_open
from covalent_lambda_container.ports.engine import CannotRun, CommandFailed, Engine
from covalent_lambda_container.ports.installer import Installer, WheelsMissing

log = logging.getLogger(__name__)


class PackageInstaller:
    """Installs what an image must contain.

    Parameters
    ----------
    engine
        For what there are no wheels of.
    wheels
        Installs wheels on this machine.
    read_settings
        Returns how packages are reached; asked for each installation, since passwords change.
    cache
        Keeps wheels that were built.
    """

    def __init__(
        self,
        engine: Engine,
        wheels: Installer,
        read_settings: Callable[[], IndexSettings],
        cache: Path,
    ) -> None:
        self._engine = engine
        self._wheels = wheels
        self._read_settings = read_settings
        self._sdk = SdkWheels(engine, wheels, cache)
        self._sources = SourceBuilder(engine, wheels)

    def authorities(self) -> bytes | None:
        """Return the certificate authorities to trust, as PEM text; None for the system's own."""
        return self._read_settings().ca_bundle

    def install(
        self,
        spec: ImageSpec,
        root: RootImage,
        system: Callable[[], str],
        target: Path,
        scratch: Path,
        *,
        refresh: bool = False,
    ) -> None:
        """Install a spec's packages.

        The client's cloudpickle is installed whatever other packages require: it reads the task.

        Parameters
        ----------
        system
            Returns an image with the system to build on; called only if something must be built.
        target
            The folder; it must be empty.
        scratch
            Folder for files that are needed meanwhile.
        refresh
            Whether to ask the index for what it has now.

        Raises
        ------
        ImageBuildError
            When they cannot be installed; the message says why.
        """
        settings = self._read_settings().joined(spec.install_options)
        sdk = None
        if spec.covalent_version:
            with _building("Covalent's SDK"):
                sdk = self._sdk.find_or_build(spec, system, settings)
        # The SDK's metadata caps cloudpickle where the server's does not: it is installed without
        # its requirements, which join the task's, cloudpickle left out.
        install = functools.partial(
            self.install_wheels, scratch=scratch, spec=spec, root=root, settings=settings
        )
        further = required_by(sdk) if sdk else ()
        steps = requirements_files(spec, further)
        try:
            if sources(spec):
                raise WheelsMissing("")
            try:
                _install_steps(install, steps, target, refresh=refresh)
            except RequirementsConflict as exc:
                if not spec.flexible:
                    raise
                log.warning("Versions of values are left open: %s", exc.message.partition("\n")[0])
                steps = requirements_files(_with_versions_left_open(spec), further)
                shutil.rmtree(target, ignore_errors=True)
                try:
                    _install_steps(install, steps, target, refresh=refresh)
                except RequirementsConflict:
                    # What contradicts each other, whatever the versions, is clearer there.
                    raise exc from None
        except WheelsMissing as exc:
            log.info("Some packages have no wheels: they are built.\n%s", shortened(str(exc)))
            shutil.rmtree(target, ignore_errors=True)
            progress.report("building packages that have no wheels")
            try:
                named = ", ".join(sorted(names_to_build(str(exc))))
                with _building(f"Packages without wheels ({named})" if named else "Sources"):
                    self._sources.install(
                        steps,
                        target,
                        system=system(),
                        spec=spec,
                        root=root,
                        settings=settings,
                        scratch=scratch,
                        without_wheels=names_to_build(str(exc)),
                    )
            except CommandFailed as failure:
                raise not_built(failure.output, str(exc), spec.base_image) from failure
            except ImageBuildError as failure:
                raise not_tried(failure, str(exc)) from failure
        if sdk is not None:
            install({REQUIREMENTS: f"{sdk}\n"}, target, options=["--no-deps"])
        _log_other_cloudpickles(spec, target)

    def install_wheels(
        self,
        requirements: Mapping[str, str],
        target: Path,
        scratch: Path,
        spec: ImageSpec,
        root: RootImage,
        options: Sequence[str] = (),
        settings: IndexSettings | None = None,
    ) -> None:
        """Install wheels that run on a root.

        Raises
        ------
        WheelsMissing
        """
        self._wheels.install(
            requirements,
            target,
            scratch,
            settings=settings or self._read_settings(),
            python_version=root.python,
            architecture=spec.architecture,
            glibc=root.glibc,
            options=options,
        )


def _install_steps(
    install: Callable[..., None], steps: Sequence[Mapping[str, str]], target: Path, *, refresh: bool
) -> None:
    for step in steps:
        options = ["--refresh"] if refresh else []
        options += ["--require-hashes"] if has_hash(step[REQUIREMENTS]) else []
        install(step, target, options=options)


def _with_versions_left_open(spec: ImageSpec) -> ImageSpec:
    """Return a spec whose values take the versions that go with the task's own packages."""
    opened = {line: left_open(line) for line in spec.flexible}
    return replace(
        spec, requirements=tuple(sorted(opened.get(line, line) for line in spec.requirements))
    )


def _log_other_cloudpickles(spec: ImageSpec, target: Path) -> None:
    """Say which requirements the client's cloudpickle does not meet."""
    wanted = {("The task", line) for line in (*spec.requirements, *spec.constraints)}
    for each in metadata.distributions(path=[str(target)]):
        wanted |= {(each.metadata["Name"], line) for line in each.requires or ()}
    for name, line in sorted(wanted):
        try:
            requirement = parsed(line)
        except InvalidRequirement:
            # Of a distribution, as old ones have it; uv reads more than the standard allows.
            continue
        if canonicalize_name(requirement.name) != CLOUDPICKLE or "extra" in str(requirement.marker):
            continue
        if not requirement.specifier.contains(spec.cloudpickle_version, prereleases=True):
            log.warning(
                "%s requires %s; the image has the client's %s, which pickled the task.",
                name,
                requirement,
                spec.cloudpickle_version,
            )


@contextmanager
def _building(what: str) -> Iterator[None]:
    try:
        yield
    except CannotRun as exc:
        raise ImageBuildError(
            f"{exc} {what} cannot be built here.",
            hint="Require versions that have wheels, or build where an engine runs such images: on "
            "a machine with that processor, or with an emulator (QEMU's binfmt handlers).",
        ) from exc
