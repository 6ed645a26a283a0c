"""From a spec's requirements to a folder of distributions.

Wheels are installed on this machine. What there is no wheel of is built where nothing of it stays:
in a container of the image's own system, that is thrown away.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final
from zipfile import ZipFile

from packaging.metadata import parse_email
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from covalent_lambda_container.archives import files
from covalent_lambda_container.dockerfile import REQUIREMENTS, requirements_files
from covalent_lambda_container.install_settings import InstallSettings, proxies
from covalent_lambda_container.ports import Container, Engine, Installer, WheelsMissing
from covalent_lambda_container.root import Root
from covalent_lambda_container.spec import ImageSpec

log = logging.getLogger(__name__)

_FOLDER: Final = "tmp/covalent-lambda-install"
_PIP: Final = ("python3", "-m", "pip")
_PIP_VARIABLES: Final = {
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PIP_NO_CACHE_DIR": "1",
    "PIP_NO_INPUT": "1",
    "PIP_PROGRESS_BAR": "off",
    "PIP_ROOT_USER_ACTION": "ignore",
}


class PackageInstaller:
    """Installs what an image must contain.

    Parameters
    ----------
    engine
        For what there are no wheels of.
    wheels
        Installs wheels on this machine.
    settings
        How the index is reached from a container.
    cache
        Keeps wheels that were built.
    """

    def __init__(
        self, engine: Engine, wheels: Installer, settings: InstallSettings, cache: Path
    ) -> None:
        self._engine = engine
        self._wheels = wheels
        self._settings = settings
        self._cache = cache

    def install(
        self,
        spec: ImageSpec,
        root: Root,
        system: Callable[[], str],
        target: Path,
        scratch: Path,
        *,
        anew: bool = False,
    ) -> None:
        """Install a spec's packages.

        Parameters
        ----------
        system
            Returns an image with the system to build on; called only if something must be built.
        target
            The folder; it must be empty.
        scratch
            Folder for files that are needed meanwhile.
        anew
            Whether to ask the index for what it has now.

        Raises
        ------
        ImageBuildError
            When they cannot be installed; the message says why.
        """
        sdk = self._covalent_sdk(spec, system) if spec.covalent_version else None
        # The SDK's metadata caps cloudpickle where the server's does not: it is installed without
        # its requirements, which join the task's, cloudpickle left out.
        requirements = requirements_files(spec, required_by(sdk) if sdk else ())
        try:
            if any(map(_is_source, spec.requirements)):
                raise WheelsMissing("a requirement names a source")
            options = ("--refresh",) if anew else ()
            self.install_wheels(requirements, target, scratch, spec, root, options)
        except WheelsMissing as exc:
            log.info("Not all packages can be had as wheels: they are built.\n%s", exc)
            self._build_packages(requirements, target, system(), spec)
        if sdk is not None:
            self.install_wheels(
                {REQUIREMENTS: f"{sdk}\n"}, target, scratch, spec, root, ("--no-deps",)
            )

    def install_wheels(
        self,
        requirements: Mapping[str, str],
        target: Path,
        scratch: Path,
        spec: ImageSpec,
        root: Root,
        options: Sequence[str] = (),
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
            python_version=root.python,
            architecture=spec.architecture,
            glibc=root.glibc,
            options=options,
        )

    def _build_packages(
        self, requirements: Mapping[str, str], target: Path, system: str, spec: ImageSpec
    ) -> None:
        with self._engine.container(system, spec.architecture) as container:
            texts = {f"{_FOLDER}/{name}": text.encode() for name, text in requirements.items()}
            container.put(files(texts))
            command = [*_PIP, "install", "--no-compile", "--prefer-binary"]
            command += ["--target", f"/{_FOLDER}/packages"]
            self._run(container, [*command, "--requirement", f"/{_FOLDER}/{REQUIREMENTS}"])
            container.get(f"/{_FOLDER}/packages/.", target)

    def _covalent_sdk(self, spec: ImageSpec, system: Callable[[], str]) -> Path:
        """Return a wheel of Covalent's SDK without its server, which is built if it is not here."""
        folder = self._cache / f"covalent-sdk-{spec.covalent_version}-{spec.python_version}"
        if not folder.exists():
            self._cache.mkdir(parents=True, exist_ok=True)
            with (
                tempfile.TemporaryDirectory(dir=self._cache) as scratch,
                self._engine.container(system(), spec.architecture) as container,
            ):
                command = [*_PIP, "wheel", "--quiet", "--no-deps", "--no-binary", "covalent"]
                command += [
                    "--wheel-dir",
                    f"/{_FOLDER}/wheels",
                    f"covalent=={spec.covalent_version}",
                ]
                self._run(container, command, COVALENT_SDK_ONLY="1")
                made = Path(scratch, "wheels")
                container.get(f"/{_FOLDER}/wheels/.", made)
                if not folder.exists():
                    made.replace(folder)
        (wheel,) = folder.glob("*.whl")
        return wheel

    def _run(self, container: Container, command: list[str], **variables: str) -> None:
        ca_file = f"{_FOLDER}/ca-bundle.crt"
        if self._settings.ca_bundle is not None:
            container.put(files({ca_file: self._settings.ca_bundle}))
        reach = self._settings.environment(f"/{ca_file}")
        environment = _PIP_VARIABLES | proxies() | reach | variables
        container.run(command, environment=environment)


def required_by(wheel: Path) -> list[str]:
    """Return the requirements of Covalent's SDK, without extras and cloudpickle."""
    with ZipFile(wheel) as opened:
        (name,) = [name for name in opened.namelist() if name.endswith(".dist-info/METADATA")]
        metadata, _ = parse_email(opened.read(name))
    found = [Requirement(line) for line in metadata.get("requires_dist", [])]
    return [
        str(each)
        for each in found
        if canonicalize_name(each.name) != "cloudpickle" and "extra" not in str(each.marker)
    ]


def _is_source(line: str) -> bool:
    """Tell whether a requirement is surely no wheel: a repository, or another archive."""
    url = Requirement(line.partition(" --")[0]).url
    return url is not None and not url.partition("#")[0].endswith(".whl")
