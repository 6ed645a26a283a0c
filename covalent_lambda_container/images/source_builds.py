"""Builds packages without wheels, in a disposable container of the image's own system.

uv works there as on the dispatcher's machine: it installs everything else from wheels, in the same
versions, from the first index with a package. Only packages without wheels are built.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member, files
from covalent_lambda_container.images.dockerfile import REQUIREMENTS
from covalent_lambda_container.images.root_image import RootImage
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.packages.failure_reasons import system_install
from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.installer_output import UNWRAPPED, names_to_build
from covalent_lambda_container.packages.logins import git_environment
from covalent_lambda_container.packages.package_indexes import PROJECT, bound_to_indexes
from covalent_lambda_container.packages.requirements import has_hash, parsed
from covalent_lambda_container.ports.engine import CommandFailed, Container, Engine
from covalent_lambda_container.ports.installer import OVERRIDES, Installer

log = logging.getLogger(__name__)

FOLDER: Final = "tmp/covalent-lambda-install"
"""Folder in containers for everything that is needed while packages are built."""
CA_FILE: Final = f"{FOLDER}/ca-bundle.crt"
CLIENT_FILE: Final = f"{FOLDER}/client-certificate.pem"

_MAX_ROUNDS: Final = 20
"""Most attempts: uv names the packages without wheels one after the other."""
_UV_VARIABLES: Final = {
    "UV_CACHE_DIR": f"/{FOLDER}/cache",
    "UV_LINK_MODE": "copy",
    **UNWRAPPED,
}


class SourceBuilder:
    """Installs packages, some of which have no wheels.

    Parameters
    ----------
    engine
        Runs the containers.
    wheels
        Provides uv for the container.
    """

    def __init__(self, engine: Engine, wheels: Installer) -> None:
        self._engine = engine
        self._wheels = wheels

    def install(
        self,
        steps: Sequence[Mapping[str, str]],
        target: Path,
        *,
        system: str,
        spec: ImageSpec,
        root: RootImage,
        settings: IndexSettings,
        scratch: Path,
        without_wheels: Iterable[str],
    ) -> None:
        """Install the packages of some requirements files.

        Parameters
        ----------
        steps
            Texts of requirements files and of the files they refer to, by name.
        target
            The folder; created if missing.
        system
            Image with everything that the builds need.
        without_wheels
            Packages known to have no wheels.

        Raises
        ------
        CommandFailed
            When packages cannot be built; it has uv's output.
        ImageBuildError
            When the build did not begin.
        """
        tool = self._wheels.program(
            scratch,
            settings=settings,
            python_version=root.python,
            architecture=root.architecture,
            glibc=root.glibc,
        )
        with self._engine.container(system, spec.architecture) as container:
            git = git_environment(settings.known_logins, _repositories(container, spec))
            container.put([Member(name=f"{FOLDER}/uv", content=(tool,), executable=True)])
            put_certificates(container, settings)
            built = {*without_wheels, *(parsed(line).name for line in sources(spec))}
            for step in steps:
                texts, bound = bound_to_indexes(step, settings)
                environment = bound.container_environment(f"/{CA_FILE}", f"/{CLIENT_FILE}")
                _install(container, texts, built, _UV_VARIABLES | environment | git, bound)
            container.get(f"/{FOLDER}/packages/.", target)


def put_certificates(container: Container, settings: IndexSettings) -> None:
    """Write the certificate authorities, and the installer's own certificate, to a container."""
    contents = {CA_FILE: settings.ca_bundle, CLIENT_FILE: settings.client_certificate}
    present = {name: content for name, content in contents.items() if content is not None}
    if present:
        container.put(files(present))


def sources(spec: ImageSpec) -> list[str]:
    """Return the requirements that are certainly not wheels: repositories and source archives.

    Requirements whose markers do not hold in the image are excluded.
    """
    found = []
    for line in spec.requirements:
        requirement = parsed(line)
        is_wheel = (requirement.url or "").partition("#")[0].endswith(".whl")
        if requirement.url and not is_wheel and applies(requirement, spec):
            found.append(line)
    return found


def applies(requirement: Requirement, spec: ImageSpec) -> bool:
    """Return whether a requirement's marker holds in an image."""
    if requirement.marker is None:
        return True
    machine = {"arm64": "aarch64"}.get(spec.architecture, spec.architecture)
    environment = {
        "implementation_name": "cpython",
        "implementation_version": f"{spec.python_version}.0",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "",
        "platform_system": "Linux",
        "platform_version": "",
        "python_full_version": f"{spec.python_version}.0",
        "python_version": spec.python_version,
        "sys_platform": "linux",
        "extra": "",
    }
    return requirement.marker.evaluate(environment)


def _install(
    container: Container,
    step: Mapping[str, str],
    built: set[str],
    environment: Mapping[str, str],
    settings: IndexSettings,
) -> None:
    """Install the packages of one requirements file, and build those in `built`.

    Packages that turn out to have no wheels are added to `built`.
    """
    container.put(files({f"{FOLDER}/{name}": text.encode() for name, text in step.items()}))
    command = [f"/{FOLDER}/uv", "pip", "install", "--no-config", "--no-python-downloads"]
    command += ["--no-progress", "--color", "never", "--no-compile-bytecode"]
    command += ["--index-strategy", "first-index", "--python", "python3"]
    command += ["--target", f"/{FOLDER}/packages", "--requirements", f"/{FOLDER}/{REQUIREMENTS}"]
    command += ["--overrides", f"/{FOLDER}/{OVERRIDES}"] if OVERRIDES in step else []
    command += ["--requirements", f"/{FOLDER}/{PROJECT}"] if PROJECT in step else []
    command += ["--require-hashes"] if has_hash(step[REQUIREMENTS]) else []
    for _ in range(_MAX_ROUNDS):
        # uv lets --no-binary, which names packages, override this --only-binary.
        choice = ["--only-binary", ":all:"]
        choice += [option for name in sorted(built) for option in ("--no-binary", name)]
        try:
            container.run([*command, *choice], environment=environment, redacted=settings.redacted)
        except CommandFailed as exc:
            found = set(names_to_build(exc.output)) - built
            if not found:
                raise
            log.info("%s: no wheels, built from source", ", ".join(sorted(found)))
            built |= found
        else:
            return
    raise ImageBuildError(f"More than {_MAX_ROUNDS} packages have no wheels: {sorted(built)}.")


def _repositories(container: Container, spec: ImageSpec) -> list[str]:
    """Return the URLs of git repositories to install from; raise if the image has no git."""
    urls = {line: parsed(line).url or "" for line in sources(spec)}
    named = [line for line, url in urls.items() if url.startswith("git+")]
    if not named:
        return []
    found = container.run(["python3", "-c", "import shutil; print(shutil.which('git') or '')"])
    if not found.strip():
        raise ImageBuildError(
            f"requirement {named[0]!r} is in a git repository, and {spec.base_image} has no git.",
            hint="Install it when the image is built: "
            f"ct.DepsBash([{system_install(spec.base_image, 'git', 'git')!r}]). "
            "Or choose a base_image that has it.",
        )
    return [urls[line] for line in named]
