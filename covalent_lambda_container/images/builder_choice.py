"""Which builder makes an image: Docker's where an engine answers, else the one that needs none."""

from __future__ import annotations

import logging
from collections.abc import Callable

from covalent_lambda_container.errors import ImageBuildError, LambdaContainerError
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.registry import ImageBuilder, RegistryLogin

log = logging.getLogger(__name__)


class DockerOrRegistry:
    """Builds with Docker, or without it where no engine answers and the image needs none.

    Parameters
    ----------
    docker, registry
        The builders.
    answers
        Tells whether there is an engine.
    """

    def __init__(
        self, docker: ImageBuilder, registry: ImageBuilder, answers: Callable[[], bool]
    ) -> None:
        self._docker = docker
        self._registry = registry
        self._answers = answers
        self._builders: dict[str, ImageBuilder] = {}

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        """Build the image of a spec, to be pushed under a name.

        Raises
        ------
        ImageBuildError
            When it cannot be built; without an engine, also when it needs one.
        """
        # An image that has no registry in its name stays in the engine.
        if "/" not in name or self._answers():
            self._builders[name] = self._docker
        else:
            log.warning(
                "No Docker engine answers: image %s is composed on this machine and uploaded "
                "without one.",
                spec.tag,
            )
            self._builders[name] = self._registry
        try:
            self._builders[name].build(spec, name, rebuild=rebuild)
        except LambdaContainerError as exc:
            if self._builders.pop(name) is self._docker:
                raise
            raise ImageBuildError(
                f"No Docker engine answers, and image {spec.tag} cannot be built without one: "
                f"{exc.message}",
                hint=f"{exc.hint or ''}\nStart a Docker engine on the dispatcher's machine, or "
                "build the image elsewhere with 'covalent-lambda prebuild'.".lstrip(),
            ) from exc

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push an image that was built; return its manifest's ``sha256:…`` digest.

        Raises
        ------
        RegistryError
            When the registry refuses any part of it.
        """
        builder = self._builders.pop(name, None)
        if builder is None:
            raise ImageBuildError(f"Image {name} was not built here.")
        return builder.push(name, login)
