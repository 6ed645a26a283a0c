"""Installed distributions as the layers of one image, compiled and archived in the background."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Final

from covalent_lambda_container.concurrency.background import Background
from covalent_lambda_container.files.archives import Member, body, files
from covalent_lambda_container.images.byte_code import PackageCompiler
from covalent_lambda_container.images.distributions import (
    Distribution,
    lock_text,
    modules_text,
    unclaimed,
)
from covalent_lambda_container.images.dockerfile import TASK_ROOT
from covalent_lambda_container.images.package_archives import (
    DistributionPart,
    Layer,
    PackageArchive,
    in_layers,
)
from covalent_lambda_container.runtime.provenance import MODULES_FILE

LOCK_FILE: Final = "requirements.lock"
"""Beside the packages: a requirements file that pins every installed distribution."""


def package_layers(
    compiler: PackageCompiler, found: Sequence[Distribution], stage: Path, threads: Background
) -> list[Future[Layer]]:
    """Return the layers of the distributions in a folder; they are created in their order.

    Parameters
    ----------
    found
        The distributions.
    stage
        The folder that they are installed in.
    threads
        Create the layers.
    """
    groups = in_layers(found)

    def make(number: int, group: Sequence[DistributionPart]) -> Layer:
        archives = compiler.archives(group, TASK_ROOT)
        if number == len(groups):
            archives.append(_common_files(found, stage, compiler.scratch))
        return Layer(name=f"{number:02d}.tar", archives=tuple(archives))

    return [threads.submit(make, number, group) for number, group in enumerate(groups, 1)]


def _common_files(found: Sequence[Distribution], stage: Path, scratch: Path) -> PackageArchive:
    """Return the files that belong to the whole set of distributions and to none of them."""
    members = [
        Member(name=f"{TASK_ROOT}/{path}", content=(stage / path,))
        for path in unclaimed(stage, found)
    ]
    members += files(
        {
            f"{TASK_ROOT}/{LOCK_FILE}": lock_text(found).encode(),
            f"{TASK_ROOT}/{MODULES_FILE}": modules_text(found).encode(),
        }
    )
    file = scratch / "set.tar"
    with file.open("wb") as out:
        out.writelines(body(members, folders=True))
    return PackageArchive(requirement="", file=file, size=file.stat().st_size)
