"""Builds images as a dispatcher does, and runs tasks on them.

``want`` says what is timed: ``"result"``, from the call of the executor to the task's result;
``"image"``, until the image is in ECR; ``"build"``, until it is in the engine.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from typing import Any

from bench.workers import protocol
from bench.workers.dispatcher import DispatchedTask, watched
from bench.workers.memory import PeakMemory
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.covalent_api.task import bare_task
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.service import Service
from covalent_lambda_container.executor.wiring import service_for
from covalent_lambda_container.files.archives import Member
from covalent_lambda_container.images import builder as image_build
from covalent_lambda_container.images import dockerfile
from covalent_lambda_container.images.builder import packages_image_name
from covalent_lambda_container.images.interface_image import interface_image_name
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import Requirements


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Do what is wanted with the executor's ``options``, which name the packages.

    With ``runtime``, a text, the runtime has a comment more; with ``engine`` false, Docker's place
    is taken by a socket that counts who comes.
    """
    if "runtime" in request:
        change_runtime(request["runtime"])
    counter = None if request.get("engine", True) else count_calls()
    options = Options.check(request["options"])
    service = service_for(options)
    spec = image_spec(options, bare_task(Requirements()))
    memory = PeakMemory()
    started = time.perf_counter()
    if request["want"] == "result":
        asyncio.run(_result(request["options"]))
    elif request["want"] == "image":
        service.provisioner.ensure_image(spec)
    else:
        service.provisioner.build_here(spec)
    answer = {"seconds": time.perf_counter() - started, "peak_bytes": memory.rise_bytes}
    if counter is not None:
        return answer | {"calls": calls(counter)}
    return answer | _names(service, spec)


def change_runtime(comment: str) -> None:
    """Have a runtime that differs from the real one by a comment."""
    sources = dockerfile.runtime_sources

    def changed() -> list[Member]:
        first, *others = sources()
        content = (*first.content, f"# {comment}\n".encode())
        return [Member(name=first.name, content=content), *others]

    # The build has imported it by name.
    for module in (dockerfile, image_build):
        vars(module)["runtime_sources"] = changed


def count_calls() -> socket.socket:
    """Replace Docker's engine for all later clients of this process."""
    counter = socket.create_server(("127.0.0.1", 0))
    os.environ["DOCKER_HOST"] = f"tcp://127.0.0.1:{counter.getsockname()[1]}"
    return counter


def calls(counter: socket.socket) -> int:
    """Return how many connections were opened to a socket."""
    counter.settimeout(0)
    count = 0
    while True:
        try:
            counter.accept()
        except BlockingIOError:
            return count
        count += 1


def work() -> Callable[[], float]:
    """Return a function that uses the packages, pickled by value."""

    def task() -> float:
        import numpy
        import pandas
        import scipy.stats

        frame = pandas.DataFrame({"x": numpy.arange(1000.0)})
        return float(frame.x.mean() + scipy.stats.norm.pdf(0))

    return task


async def _result(options: dict[str, Any]) -> None:
    task = DispatchedTask(options, work())
    await watched(asyncio.get_running_loop(), task).run()


def _names(service: Service, spec: ImageSpec) -> dict[str, str]:
    """Return the names that the image and those below it have in the engine."""
    root = DockerEngine().find(spec.base_image)
    assert root is not None
    base = interface_image_name(spec, root.id)
    registry = service.provisioner.find_image(spec)
    repository = registry.repository_uri if registry else "covalent-lambda"
    return {
        "base": base,
        "packages": packages_image_name(spec, base),
        "image": f"{repository}:{spec.tag}",
    }


if __name__ == "__main__":
    protocol.answer(measure)
