"""Chooses an image's builder: Docker's if an engine answers, else the one that needs none."""

from __future__ import annotations

import logging
from collections.abc import Callable

from covalent_lambda_container.errors import ImageBuildError, LambdaContainerError
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.registry import ImageBuilder, RegistryLogin

log = logging.getLogger(__name__)


class DockerOrRegistry:
    """Builds with Docker, or without it if no engine answers and the image needs none.

    Parameters
    ----------
    docker, registry
        The builders.
    refusal
        Returns why no engine answers, or None if one does.
    """

    def __init__(
        self,
        docker: ImageBuilder,
        registry: ImageBuilder,
        refusal: Callable[[], LambdaContainerError | None],
    ) -> None:
        self._docker = docker
        self._registry = registry
        self._refusal = refusal
        self._builders: dict[str, ImageBuilder] = {}

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        """Build the image of a spec, to be pushed under a name.

        Raises
        ------
        ImageBuildError
            It cannot be built, or it needs an engine and none answers.
        """
        # An image without a registry in its name stays in the engine.
        refusal = self._refusal() if "/" in name else None
        if refusal is None:
            self._docker.build(spec, name, rebuild=rebuild)
            self._builders[name] = self._docker
            return
        log.warning(
            "No Docker engine answers: image %s is composed on this machine and uploaded without "
            "one. %s",
            spec.tag,
            refusal.message,
        )
        try:
            self._registry.build(spec, name, rebuild=rebuild)
        except LambdaContainerError as exc:
            raise ImageBuildError(
                f"No Docker engine answers, and image {spec.tag} cannot be built without one: "
                f"{exc.message}\n{refusal.message}",
                hint=f"{exc.hint or ''}\n{refusal.hint or ''}".strip(),
            ) from exc
        self._builders[name] = self._registry

    def push(self, name: str, login: RegistryLogin) -> str:
        """Push an image that was built; return its manifest's ``sha256:…`` digest.

        Raises
        ------
        RegistryError
            The registry refuses any part of it.
        """
        builder = self._builders.pop(name, None)
        if builder is None:
            raise ImageBuildError(f"Image {name} was not built here.")
        return builder.push(name, login)
