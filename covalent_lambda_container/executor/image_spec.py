"""From a task, its values and the executor's options to what the image must contain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.executor.values import image_of_values, with_values
from covalent_lambda_container.images.dockerfile import recipe_digest
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.limits import AWS_ROOT_IMAGE
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import LocalPackage, read_local_packages

ContentsOf = Callable[[str], ImageContents | None]
"""Returns what is in the image of a tag; None if it is not known."""


def nothing_known(_: str) -> ImageContents | None:
    """Stand in for a registry that is not asked."""
    return None


def image_spec(
    options: Options,
    task: Task,
    packages: tuple[LocalPackage, ...] | None = None,
    contents_of: ContentsOf = nothing_known,
) -> ImageSpec:
    """Return what the image of a task must contain.

    Parameters
    ----------
    packages
        The user's own code; default: read now.
    contents_of
        Returns what is in the image of a tag, for those in which the task's values were made; None
        if it is not known.
    """
    wanted = options.wanted() | task.requirements
    spec = ImageSpec(
        python_version=task.python_version,
        architecture=options.architecture,
        base_image=options.base_image or f"{AWS_ROOT_IMAGE}:{task.python_version}",
        requirements=wanted.packages,
        cloudpickle_version=task.cloudpickle_version,
        covalent_version=task.covalent_version,
        commands=task.commands if options.bash_deps == "build" else (),
        late_commands=task.commands if options.bash_deps == "after_packages" else (),
        constraints=wanted.constraints,
        install_options=wanted.options,
        recipe=recipe_digest(),
    )
    if packages is None:
        packages = read_local_packages(options.local_packages)
    spec = replace(spec, local_packages=packages)
    # Data that was made with these very packages asks for no others.
    if all(origin.image == spec.tag for origin in task.origins):
        return spec
    images = sorted({origin.image for origin in task.origins if origin.image})
    made = {tag: contents for tag in images if (contents := contents_of(tag))}
    taken = image_of_values(spec, task.origins, made, any_root=not options.base_image)
    return taken or with_values(spec, task.origins, made)
