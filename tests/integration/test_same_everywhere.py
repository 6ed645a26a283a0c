"""One image for everybody: for processes of a machine, for machines, and after a rebuild."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from covalent_lambda_container import AWSLambdaContainerExecutor, step_log
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.errors import UnusableImage
from covalent_lambda_container.executor.wiring import image_builder, target_of
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.images.dockerfile import recipe_digest
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.electron import execute
from tests.fakes import FakeFunctions
from tests.fakes.examples import image_spec

SCRIPT = Path(__file__).parent / "ensure_image.py"
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFESTS = (
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
)


class Dispatchers:
    """Dispatchers that share a repository of their own, which does not exist yet."""

    def __init__(self, options: dict[str, Any], folder: Path) -> None:
        self.repository = f"{options['ecr_repository']}-{uuid.uuid4().hex[:8]}"
        self.options = options | {"ecr_repository": self.repository}
        self._folder = folder

    def start(self, *places: str, machine: str = "localhost", **options: Any) -> Any:
        """Start one; a machine has its own locks and its own name for the registry."""
        url = self.options["endpoint_url"].replace("localhost", machine)
        cache_dir = str(self._folder / machine)
        given = self.options | {"endpoint_url": url, "cache_dir": cache_dir} | options
        return subprocess.Popen(
            [
                sys.executable,
                SCRIPT,
                json.dumps(given),
                *(self._folder / place for place in places),
            ],
            env=os.environ | {step_log.VARIABLE: str(self._folder / "steps.jsonl")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def end(self, process: Any) -> tuple[str, str]:
        """Wait for one; return the image's tag and digest."""
        printed, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        # Covalent logs to the same stream.
        tag, digest = json.loads(printed.splitlines()[-1])
        return tag, digest

    @property
    def steps(self) -> Counter[str]:
        """How often they built and pushed."""
        steps = [step["step"] for step in step_log.read(self._folder / "steps.jsonl")]
        return Counter(step for step in steps if step != "image.install")


@pytest.fixture
def dispatchers(options: dict[str, Any], stack: Any, tmp_path: Path) -> Any:
    # A dispatcher's own policy is for the stack's repository only.
    made = Dispatchers(options | {"profile": stack.owner_profile}, tmp_path)
    yield made
    with contextlib.closing(docker.from_env()) as client:
        for image in client.images.list(filters={"reference": f"*/{made.repository}"}):
            for name in image.tags:
                if f"/{made.repository}:" in name:
                    # A container of a function may still be there.
                    client.images.remove(name, force=True)


def test_two_processes_of_a_machine_build_an_image_once(dispatchers: Dispatchers):
    two = [dispatchers.start("start") for _ in range(2)]
    one, other = map(dispatchers.end, two)
    assert one == other
    assert dispatchers.steps == {"image.build": 1, "image.push": 1}


def test_two_machines_that_build_at_once_end_with_one_image(
    dispatchers: Dispatchers, aws: Callable[[str], Any]
):
    two = [dispatchers.start("start", "push", machine=m) for m in ("localhost", "127.0.0.1")]
    one, other = map(dispatchers.end, two)
    assert one == other
    # Both have built it, and one push was refused, since tags do not move.
    assert dispatchers.steps == {"image.build": 2, "image.push": 1}
    (image,) = aws("ecr").list_images(repositoryName=dispatchers.repository)["imageIds"]
    assert (image["imageTag"], image["imageDigest"]) == one


def test_a_forced_rebuild_replaces_the_image_for_all(
    dispatchers: Dispatchers, aws: Callable[[str], Any]
):
    tag, first = dispatchers.end(dispatchers.start())
    _, rebuilt = dispatchers.end(dispatchers.start(force_rebuild=True))
    assert dispatchers.steps == {"image.build": 2, "image.push": 2}
    # Nothing of the old one's layers was taken from Docker's cache.
    assert rebuilt != first
    _, found = dispatchers.end(dispatchers.start(machine="127.0.0.1"))
    assert found == rebuilt
    assert dispatchers.steps["image.build"] == 2
    # Functions that were made of the first one keep it.
    listed = aws("ecr").list_images(repositoryName=dispatchers.repository)["imageIds"]
    tags = {image["imageTag"]: image["imageDigest"] for image in listed}
    assert tags == {tag: first, f"{tag}-r1": rebuilt}


def test_a_rebuild_counts_in_the_process_that_asked_for_it_too(dispatchers: Dispatchers):
    def where() -> str:
        import os

        return os.environ["AWS_LAMBDA_FUNCTION_NAME"]

    async def in_turn() -> list[str]:
        plain = AWSLambdaContainerExecutor(**dispatchers.options)
        forced = AWSLambdaContainerExecutor(**dispatchers.options, force_rebuild=True)
        names = []
        for executor in (plain, forced, forced, plain):
            ended = await execute(executor, where)
            names.append(ended.value)
        return names

    first, *others = asyncio.run(in_turn())
    assert set(others) == {others[0]} != {first}


class ContainerdEngine(DockerEngine):
    """Pushes what Docker pushes from its containerd image store: an index of one image."""

    def push(self, name: str, login: RegistryLogin) -> str:
        repository, _, tag = name.rpartition(":")
        plain = f"{repository}:plain-{tag}"
        with contextlib.closing(docker.from_env()) as client:
            client.images.get(name).tag(plain)
            digest = super().push(plain, login)
            client.images.remove(plain)
        host, _, path = repository.partition("/")
        manifests = f"http://{host}/v2/{path}/manifests"
        auth = (login.username, login.password)
        pushed = requests.get(
            f"{manifests}/{digest}", auth=auth, headers={"Accept": ", ".join(MANIFESTS)}, timeout=30
        )
        child = {
            "mediaType": pushed.headers["Content-Type"],
            "digest": digest,
            "size": len(pushed.content),
            "platform": {"os": "linux", "architecture": "amd64"},
        }
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [child]}
        answer = requests.put(
            f"{manifests}/{tag}", json=index, auth=auth, headers={"Content-Type": INDEX}, timeout=30
        )
        answer.raise_for_status()
        return answer.headers["Docker-Content-Digest"]


def test_an_index_that_docker_pushed_is_taken_back(
    dispatchers: Dispatchers, tmp_path: Path, aws: Callable[[str], Any]
):
    options = Options.check(dispatchers.options)
    clients = AwsClients(target_of(options))

    def ensure(engine: DockerEngine) -> str:
        provisioner = Provisioner(
            builder=image_builder(engine, read_index_settings, tmp_path / "cache"),
            registry=EcrRegistry(clients, dispatchers.repository),
            functions=FakeFunctions(),
            lock_directory=tmp_path,
        )
        spec = image_spec(
            base_image=options.base_image,
            python_version=f"{sys.version_info.major}.{sys.version_info.minor}",
            requirements=("iniconfig==2.1.0",),
            recipe=recipe_digest(),
        )
        return provisioner.ensure_image(spec).digest

    with pytest.raises(UnusableImage, match=rf"is a {re.escape(INDEX)}(.|\n)*removed from there"):
        ensure(ContainerdEngine())
    # Nothing stands in the way of an engine that is set up as the error says.
    digest = ensure(DockerEngine())
    (found,) = aws("ecr").describe_images(
        repositoryName=dispatchers.repository, imageIds=[{"imageDigest": digest}]
    )["imageDetails"]
    assert found["imageManifestMediaType"] in MANIFESTS
