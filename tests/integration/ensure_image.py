"""Ensures an image as one of several dispatchers; prints its tag and its digest.

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

from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.lambda_functions import LambdaFunctions
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.covalent_api.task import bare_task
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.wiring import clients_of, image_builder, service_for
from covalent_lambda_container.functions.provisioner import Provisioner
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


class MeetingBuilder:
    """Builds as on an engine of its own, and pushes at the same moment as the other dispatcher."""

    def __init__(self, builder: TaskImageBuilder, place: Path) -> None:
        self._builder = builder
        self._place = place

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        self._builder.build(spec, name, rebuild=True)

    def push(self, name: str, login: RegistryLogin) -> str:
        meet(self._place)
        return self._builder.push(name, login)


def meeting_provisioner(options: Options, place: Path) -> Provisioner:
    cache = Path(options.cache_dir).expanduser().absolute()
    clients = clients_of(options)
    builder = image_builder(DockerEngine(), read_index_settings, cache)
    return Provisioner(
        builder=MeetingBuilder(builder, place),
        registry=EcrRegistry(clients, options.ecr_repository),
        functions=LambdaFunctions(clients),
        lock_directory=cache / "locks",
    )


def main(options_json: str, *places: str) -> None:
    given = json.loads(options_json)
    covalent_version = given.pop("covalent_version", "")
    options = Options.check(given)
    task = bare_task(Requirements(packages=("iniconfig==2.1.0",)))
    task = replace(task, covalent_version=covalent_version)
    spec = image_spec(options, task, read_local_packages(options.local_packages))
    if places[1:]:
        provisioner = meeting_provisioner(options, Path(places[1]))
    else:
        provisioner = service_for(options).provisioner
    if places:
        meet(Path(places[0]))
    image = provisioner.ensure_image(spec, rebuild=options.force_rebuild)
    sys.stdout.write(f"\n{json.dumps([spec.tag, image.digest])}\n")


main(*sys.argv[1:])
