"""The interface image: a root image that Lambda can start, below everything else."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.archives import Member
from covalent_lambda_container.images.byte_code import PackageCompiler
from covalent_lambda_container.images.distributions import distributions_in
from covalent_lambda_container.images.dockerfile import (
    EMULATOR,
    INTERFACE_CLIENT,
    INTERFACE_ROOT,
    REQUIREMENTS,
    interface_context,
    interface_recipe,
)
from covalent_lambda_container.images.installation import PackageInstaller
from covalent_lambda_container.images.package_archives import DistributionPart, Layer
from covalent_lambda_container.model.image_labels import BASE_REPOSITORY
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.installer import WheelsMissing

_EMULATOR_FILE: Final = "samcli/local/rapid/aws-lambda-rie-{architecture}"


def interface_image_name(spec: ImageSpec, root_id: str) -> str:
    """Return the engine's name for a spec's interface image, on a root image's ID."""
    parts = root_id, interface_recipe(), INTERFACE_CLIENT, EMULATOR
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    return f"{BASE_REPOSITORY}:{spec.python_version}-{spec.architecture}-{key}"


def interface_members(
    installer: PackageInstaller, compiler: PackageCompiler, spec: ImageSpec
) -> list[Member]:
    """Return the build context of a spec's interface image.

    Raises
    ------
    ImageBuildError
        The root image lacks Lambda's runtime interface, and it cannot be installed.
    """
    root, scratch = compiler.root, compiler.scratch
    if root.has_interface:
        return interface_context(None, None)
    client, tools = scratch / "client", scratch / "tools"
    install = functools.partial(installer.install_wheels, scratch=scratch, spec=spec, root=root)
    try:
        install({REQUIREMENTS: INTERFACE_CLIENT}, client)
        install({REQUIREMENTS: EMULATOR}, tools, options=("--no-deps",))
    except WheelsMissing as exc:
        raise ImageBuildError(
            f"Lambda's runtime interface cannot be installed on {spec.base_image}:\n{exc}",
            hint="Choose a base_image that has it, such as AWS's own.",
        ) from exc
    archives = compiler.archives(
        [DistributionPart(each) for each in distributions_in(client)], INTERFACE_ROOT
    )
    emulator: Path = tools / _EMULATOR_FILE.format(architecture=spec.architecture)
    return interface_context(Layer(name="interface.tar", archives=tuple(archives)), emulator)
