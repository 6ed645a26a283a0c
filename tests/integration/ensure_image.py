"""Makes sure of an image as one of several dispatchers; prints its tag and its digest.

usage: ensure_image.py OPTIONS [PLACE…]

OPTIONS are the executor's, as JSON; with "covalent_version", the task refers to Covalent. Each
PLACE is a folder where two dispatchers wait for one another: at the first before they look for the
image, at the second before they push it.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from covalent_lambda_container.covalent_api.task import bare_task
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.wiring import service_for
from covalent_lambda_container.images.builder import TaskImageBuilder
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import read_local_packages
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.ports.registry import RegistryLogin


def meet(place: Path) -> None:
    place.mkdir(exist_ok=True)
    (place / str(os.getpid())).touch()
    deadline = time.monotonic() + 120
    while len(list(place.iterdir())) < 2:
        if time.monotonic() > deadline:
            raise TimeoutError(f"nobody came to {place}")
        time.sleep(0.01)


def meet_before_pushes(place: Path) -> None:
    """Build as on an engine of its own, and push at the same moment as the other."""
    build, push = TaskImageBuilder.build, TaskImageBuilder.push

    def build_anew(
        self: TaskImageBuilder, spec: ImageSpec, name: str, *, rebuild: bool = False
    ) -> None:
        build(self, spec, name, rebuild=True)

    def meet_and_push(self: TaskImageBuilder, name: str, login: RegistryLogin) -> str:
        meet(place)
        return push(self, name, login)

    TaskImageBuilder.build = build_anew  # type: ignore[method-assign]
    TaskImageBuilder.push = meet_and_push  # type: ignore[method-assign]


def main(options_json: str, *places: str) -> None:
    given = json.loads(options_json)
    covalent_version = given.pop("covalent_version", "")
    options = Options.check(given)
    task = bare_task(Requirements(packages=("iniconfig==2.1.0",)))
    task = replace(task, covalent_version=covalent_version)
    service = service_for(options)
    spec = image_spec(options, task, read_local_packages(options.local_packages))
    if places[1:]:
        meet_before_pushes(Path(places[1]))
    if places:
        meet(Path(places[0]))
    image = service.provisioner.ensure_image(spec, rebuild=options.force_rebuild)
    sys.stdout.write(f"\n{json.dumps([spec.tag, image.digest])}\n")


main(*sys.argv[1:])
