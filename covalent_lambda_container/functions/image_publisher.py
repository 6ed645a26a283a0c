"""Builds images and pushes them to the registry, possibly at the same time as other machines."""

from __future__ import annotations

from covalent_lambda_container import progress, step_log
from covalent_lambda_container.errors import RegistryError, UnusableImage
from covalent_lambda_container.model.specs import ImageReference, ImageSpec
from covalent_lambda_container.ports.registry import ImageBuilder, Registry
from covalent_lambda_container.progress import ReportProgress


class ImagePublisher:
    """Builds and pushes images.

    Parameters
    ----------
    builder, registry
        The outside systems.
    """

    def __init__(self, builder: ImageBuilder, registry: Registry) -> None:
        self._builder = builder
        self._registry = registry

    def publish(
        self,
        spec: ImageSpec,
        report: ReportProgress,
        *,
        replaced: ImageReference | None = None,
        rebuild: bool = False,
    ) -> ImageReference:
        """Build the image of a spec and push it; return it, or the one that was pushed first.

        Parameters
        ----------
        spec
            The image's spec.
        report
            Called at the start of each long step.
        replaced
            The image that a rebuild replaces.
        rebuild
            Build it even if the registry has one, and push it as a new revision of the tag.

        Raises
        ------
        RegistryError
            The image cannot be pushed.
        UnusableImage
            Lambda does not accept the pushed image.
        """
        repository = self._repository(spec)
        tag = self._registry.next_tag(spec.tag) if rebuild else spec.tag
        name = f"{repository}:{tag}"
        report("building")
        with step_log.step("image.build", name), progress.reported_to(report):
            self._builder.build(spec, name, rebuild=rebuild)
        if not rebuild:
            # Another machine may have been faster: its image is used, and nothing is pushed.
            found = self._registry.find(spec.tag)
            if found:
                return found
        report("pushing")
        try:
            with step_log.step("image.push", name), progress.reported_to(report):
                self._builder.push(name, self._registry.login())
        except RegistryError:
            # Tags are immutable: another machine may have pushed the same image first.
            found = self._registry.find(spec.tag)
            if found is None or found == replaced:
                raise
            return found
        found = self._pushed(spec, tag)
        if found is None:
            raise RegistryError(
                f"Image {name} was pushed, but ECR does not list it.",
                hint="Try again; if it happens again, check the repository's lifecycle policy.",
            )
        return found

    def _repository(self, spec: ImageSpec) -> str:
        try:
            return self._registry.ensure_repository()
        except RegistryError as exc:
            packages = ", ".join(spec.requirements) or "no packages"
            raise RegistryError(
                f"Image {spec.tag} ({packages}) is not in ECR, and cannot be pushed to it: "
                f"{exc.message}",
                hint="If this identity should not build images, have another one build it with "
                "'covalent-lambda prebuild'. Otherwise, 'covalent-lambda policy dispatcher' prints "
                "the permissions that it needs, and 'covalent-lambda bootstrap' creates the "
                "repository.",
            ) from exc

    def _pushed(self, spec: ImageSpec, tag: str) -> ImageReference | None:
        try:
            return self._registry.find(spec.tag)
        except UnusableImage as exc:
            # The next task must not find it.
            fate = "It was removed from there."
            try:
                self._registry.remove(tag)
            except RegistryError as refusal:
                fate = f"It is still there: {refusal}"
            raise UnusableImage(
                f"Docker pushed an image that Lambda does not accept. {exc.message} {fate}",
                hint="Docker's containerd image store pushes indexes. Switch it off in the "
                'dispatcher\'s engine, by "features": {"containerd-snapshotter": false} in '
                "/etc/docker/daemon.json, and restart the engine.",
            ) from exc
