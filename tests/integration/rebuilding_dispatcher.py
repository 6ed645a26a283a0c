"""A dispatcher that builds images, runs tasks on them, and deletes what was built, again and again.

usage: rebuilding_dispatcher.py OPTIONS OWNER_PROFILE ROUNDS SEED

OPTIONS are the executor's, as JSON. Prints a line for each task that ended as it should.
"""

from __future__ import annotations

import contextlib
import json
import random
import sys
from typing import Any

import covalent as ct

from bench.workers.bare import client
from covalent_lambda_container import AWSLambdaContainerExecutor
from tests.electron import run

PACKAGES = {"iniconfig": "2.1.0", "toolz": "1.0.0", "tabulate": "0.9.0"}


def version_of(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def delete_everything(options: dict[str, Any], profile: str) -> None:
    """Delete all images and functions, also those that another dispatcher is about to use."""
    owner = options | {"profile": profile}
    registry, functions = client(owner, "ecr"), client(owner, "lambda")
    repository = options["ecr_repository"]
    if images := registry.list_images(repositoryName=repository)["imageIds"]:
        registry.batch_delete_image(repositoryName=repository, imageIds=images)
    for one in functions.list_functions()["Functions"]:
        with contextlib.suppress(functions.exceptions.ResourceNotFoundException):
            functions.delete_function(FunctionName=one["FunctionName"])


def main(options_json: str, profile: str, rounds: str, seed: str) -> None:
    options, choose = json.loads(options_json), random.Random(int(seed))
    for number in range(int(rounds)):
        package = choose.choice(sorted(PACKAGES))
        # The other one deletes functions while tasks run on them.
        executor = AWSLambdaContainerExecutor(**options, retries=20, poll_freq=1, timeout=30)
        pinned = ct.DepsPip([f"{package}=={PACKAGES[package]}"])
        ended = run(executor, version_of, package, pip=pinned)
        assert ended.value == PACKAGES[package], ended
        print(f"round {number}: {package}", flush=True)
        if choose.random() < 0.6:
            delete_everything(options, profile)


if __name__ == "__main__":
    main(*sys.argv[1:])
