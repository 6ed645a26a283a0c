"""From a task and the executor's options to what the image must contain."""

from __future__ import annotations

from dataclasses import replace

from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.images.dockerfile import recipe_digest
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.limits import AWS_ROOT_IMAGE
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import LocalPackage, read_local_packages
from covalent_lambda_container.packages.requirements import with_required


def image_spec(
    options: Options, task: Task, packages: tuple[LocalPackage, ...] | None = None
) -> ImageSpec:
    """Return what the image of a task must contain.

    Parameters
    ----------
    packages
        The user's own code; default: read now.
    """
    wanted = options.wanted() | task.requirements
    at_build = options.bash_deps == "build"
    spec = ImageSpec(
        python_version=task.python_version,
        architecture=options.architecture,
        base_image=options.base_image or f"{AWS_ROOT_IMAGE}:{task.python_version}",
        requirements=wanted.packages,
        cloudpickle_version=task.cloudpickle_version,
        covalent_version=task.covalent_version,
        commands=task.commands if at_build else (),
        constraints=wanted.constraints,
        install_options=wanted.options,
        recipe=recipe_digest(),
    )
    # Data that was made with these very packages asks for no others.
    if any(origin.image != spec.tag for origin in task.origins):
        required = {text for origin in task.origins for text in origin.requirements}
        spec = replace(spec, requirements=with_required(spec.requirements, required))
    if packages is None:
        packages = read_local_packages(options.local_packages)
    return replace(spec, local_packages=packages)
