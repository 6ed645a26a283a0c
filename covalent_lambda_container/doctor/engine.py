"""Checks of the Docker engine, and whether it can build images."""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import docker
from docker.errors import DockerException, ImageNotFound, NotFound

from covalent_lambda_container.adapters.docker.address import engine_address
from covalent_lambda_container.adapters.docker.connection import (
    NOT_PULLED,
    connect,
    registry_credentials,
)
from covalent_lambda_container.adapters.docker.failures import explained, reason
from covalent_lambda_container.doctor.examination import Check, Unknown
from covalent_lambda_container.errors import ConfigurationError, ImageBuildError
from covalent_lambda_container.model.names import lambda_architecture
from covalent_lambda_container.options.schema import Options

_LEAST_FREE_GB: Final = 5.0
"""Space for a root image, a large set of packages, and their copies in Docker's layers."""
_GB: Final = 1024**3

WITHOUT_ENGINE: Final = (
    "Images of wheels are composed on this machine and uploaded, including those with this "
    "machine's version of Covalent's SDK (sublattices). Packages that must be compiled, and "
    "DepsBash commands at build, need an engine. Tasks whose images exist need none."
)
"""Explains what works on a machine without an engine."""


class Engine:
    """The engine that builds would use.

    Parameters
    ----------
    options
        The executor's options.
    root_image
        The root image of the executor's images.
    timeout_s
        Longest time to wait for the engine.
    least_free_gb
        Free space required where the engine stores images.
    """

    def __init__(
        self,
        options: Options,
        root_image: str,
        *,
        timeout_s: float,
        least_free_gb: float = _LEAST_FREE_GB,
    ) -> None:
        self._options = options
        self._root_image = root_image
        self._timeout_s = timeout_s
        self._least_free_gb = least_free_gb

    def checks(self) -> list[Check]:
        """Return the checks of the engine."""
        if self._options.builder == "registry":
            return [Check("Docker engine", self.engine)]
        return [
            Check("Docker engine", self.engine),
            Check("Docker disk", self.disk),
            Check("base image", self.base_image),
        ]

    def engine(self) -> str:
        """Check that the engine answers, and for which processor it builds."""
        if self._options.builder == "registry":
            return f"builder='registry' needs none. {WITHOUT_ENGINE}"
        try:
            with self._client() as client:
                version = client.version()
        except ImageBuildError as exc:
            raise ImageBuildError(
                exc.message, hint=f"{exc.hint or ''}\nWithout an engine: {WITHOUT_ENGINE}".strip()
            ) from exc
        architecture = lambda_architecture(version["Arch"])
        found = f"version {version['Version']} (API {version['ApiVersion']}), {architecture}"
        if architecture != self._options.architecture:
            raise Unknown(
                f"{found}: packages without wheels for {self._options.architecture}, and commands "
                "of DepsBash, need emulation by binfmt_misc, which cannot be checked from here"
            )
        return found

    def disk(self) -> str:
        """Check the free space where the engine stores images."""
        with self._client() as client:
            folder = client.info()["DockerRootDir"]
        if not engine_address().is_local or not Path(folder).exists():
            raise Unknown(f"the engine keeps images in {folder} of another machine")
        free_gb = shutil.disk_usage(folder).free / _GB
        if free_gb < self._least_free_gb:
            raise ImageBuildError(
                f"{free_gb:.1f} GB are free in {folder}, fewer than {self._least_free_gb:g}",
                hint="Free space with 'covalent-lambda gc --local' or 'docker system prune', or "
                "give Docker more.",
            )
        return f"{free_gb:.0f} GB are free in {folder}"

    def base_image(self) -> str:
        """Check that the root image is present, or can be pulled."""
        with self._client() as client:
            try:
                client.images.get(self._root_image)
            except ImageNotFound:
                pass
            else:
                return f"{self._root_image}: on this machine"
            try:
                credentials = registry_credentials(self._root_image)
                client.images.get_registry_data(self._root_image, auth_config=credentials)
            except (NotFound, DockerException) as exc:
                raise ConfigurationError(
                    f"{self._root_image} is not on this machine and cannot be pulled: "
                    f"{reason(exc)}",
                    hint=NOT_PULLED,
                ) from exc
        return f"{self._root_image}: can be pulled"

    @contextlib.contextmanager
    def _client(self) -> Iterator[docker.DockerClient]:
        address = engine_address()
        with (
            explained("be checked", address),
            contextlib.closing(connect(address, timeout_s=math.ceil(self._timeout_s))) as client,
        ):
            yield client
