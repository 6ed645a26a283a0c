"""Images: build time compared with the plainest Dockerfile, size, and reproducibility.

Everything is built on a root image that differs from the real one by a label, so that Docker's
cache knows nothing of it; each round has a local AWS and a root of its own.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import docker

from bench import sampling
from bench.figures import Measurement
from bench.stage import Stage
from bench.uplink import Uplink, uplink
from covalent_lambda_container.adapters.aws.ecr import EcrRegistry
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.executor.wiring import target_of
from covalent_lambda_container.files.archives import files
from covalent_lambda_container.local.stack import LocalStack, local_stack
from covalent_lambda_container.options.schema import Options

PACKAGES: Final = ("numpy", "pandas", "scipy")
ONE_MORE: Final = "scikit-learn"

UPLINK_MBIT: Final = 20
"""Of a home."""

_MEMORY_MB: Final = 1024
_MB: Final = 1e6
_PROGRAM: Final = Path(__file__).parent / "workers" / "cold_import.py"
_FURTHER_INDEXES: Final = ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_INDEX_URL")
_CA_VARIABLES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")


class Site:
    """A root image and a local AWS that nothing was built on before.

    Parameters
    ----------
    stage
        Where it is.
    stack
        The local AWS.
    root
        The root image.
    scratch
        A folder of its own.
    uplink
        By which all sides reach the local AWS and its registry; None where they do so directly.
    """

    def __init__(
        self, stage: Stage, stack: LocalStack, root: str, scratch: Path, uplink: Uplink | None
    ) -> None:
        self._stage = stage
        self._stack = stack
        self._uplink = uplink
        self._endpoint_url = f"http://localhost:{uplink.port}" if uplink else stack.endpoint_url
        self._root = root
        self._scratch = scratch
        self._options = stage.options | {
            "endpoint_url": self._endpoint_url,
            "credentials_file": str(stack.credentials_file),
            "profile": stack.owner_profile,
            "base_image": root,
            "memory_size": _MEMORY_MB,
            "timeout": 120,
        }
        self._made: set[str] = set()
        self.base = self.image([], want="build")["base"]
        self._push_base()

    def image(
        self,
        requirements: list[str],
        *,
        cache: str = "cache",
        builder: str = "docker",
        **request: Any,
    ) -> Any:
        """Ask `bench.workers.image` for an image with these packages."""
        options = self._options | {
            "requirements": requirements,
            "cache_dir": str(self._scratch / cache),
            "builder": builder,
        }
        if builder == "registry":
            options["base_image"] = f"{self._repository}:root"
        answer = self._stage.work("image", {"options": options} | request, self._environment)
        self._made |= {answer[name] for name in ("image", "packages", "base") if name in answer}
        return answer

    def plain(self, requirements: list[str], *, invoke: bool = False) -> Any:
        """Ask `bench.workers.plain_image` for the same."""
        stack = self._stack
        name = f"{self._repository}:plain-{len(requirements)}"
        request = {
            "endpoint_url": self._endpoint_url,
            "profile": stack.owner_profile,
            "region": stack.region,
            "role_arn": f"arn:aws:iam::000000000000:role/{stack.role_name}",
            "memory_size": _MEMORY_MB,
            "base": self.base,
            "name": name,
            "requirements": requirements,
            "ca_bundle": next(filter(None, map(os.environ.get, _CA_VARIABLES)), ""),
            "invoke": invoke,
        }
        self._made.add(name)
        environment = os.environ | stack.environment | {"AWS_ENDPOINT_URL": self._endpoint_url}
        return self._stage.work("plain_image", request, environment) | {"image": name}

    @property
    def uplink(self) -> Uplink:
        """The uplink of a slow site."""
        assert self._uplink is not None
        return self._uplink

    def clear(self) -> None:
        """Remove every image that was built."""
        with contextlib.closing(docker.from_env()) as client:
            pushed = [f"{self._repository}:base", f"{self._repository}:root"]
            for name in [*self._made, *pushed, self._root]:
                with contextlib.suppress(docker.errors.ImageNotFound):
                    client.images.remove(name, force=True)

    @property
    def _environment(self) -> dict[str, str]:
        """Have no index but the usual one: a container on the other side has no other either."""
        kept = {
            name: value
            for name, value in self._stage.environment.items()
            if not name.startswith("UV_") and name not in _FURTHER_INDEXES
        }
        return kept | {"PIP_CONFIG_FILE": os.devnull}

    @property
    def _repository(self) -> str:
        return f"{self._endpoint_url.removeprefix('http://')}/{self._stack.repository}"

    def _push_base(self) -> None:
        """Have the base in the registry, as it is with every image but the first."""
        with contextlib.closing(docker.from_env()) as client:
            client.images.get(self.base).tag(f"{self._repository}:base")
            client.images.get(self._root).tag(f"{self._repository}:root")
        clients = AwsClients(target_of(Options.check(self._options)))
        login = EcrRegistry(clients, self._stack.repository).login()
        for tag in ("base", "root"):
            DockerEngine().push(f"{self._repository}:{tag}", login)


def sizes_and_times(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure builds from nothing, with one package more, and with another runtime."""
    ours: dict[str, list[float]] = {"first": [], "more": [], "runtime": []}
    without: dict[str, list[float]] = {"first": [], "more": [], "runtime": []}
    plain: dict[str, list[float]] = {"first": [], "more": []}
    overheads, peaks_mb = [], []
    for number in range(rounds):
        with site(stage) as here:
            sides = ("docker", "registry", "plain")
            for side in sides if number % 2 == 0 else sides[::-1]:
                if side == "docker":
                    made = _builds(here, "docker", ours)
                elif side == "registry":
                    composed = _builds(here, "registry", without)
                    peaks_mb.append(composed["peak_bytes"] / _MB)
                else:
                    first = here.plain(list(PACKAGES), invoke=True)
                    plain["first"].append(first["seconds"])
                    plain["more"].append(here.plain([*PACKAGES, ONE_MORE])["seconds"])
            overheads.append((size(made["image"]) - size(first["image"])) / _MB)
    return {
        "first_result": sampling.ratio(ours["first"], plain["first"], "s"),
        "one_more_package": sampling.ratio(ours["more"], plain["more"], "s"),
        "first_result_registry": sampling.ratio(without["first"], plain["first"], "s"),
        "one_more_package_registry": sampling.ratio(without["more"], plain["more"], "s"),
        "registry_build_mb": sampling.median(peaks_mb, "MB"),
        "runtime_change_registry_s": sampling.median(without["runtime"], "s"),
        "runtime_change_s": sampling.median(ours["runtime"], "s"),
        "image_overhead_mb": sampling.median(overheads, "MB"),
    }


def _builds(here: Site, builder: str, seconds: dict[str, list[float]]) -> Any:
    """Build from nothing, with one package more, and with another runtime; note how long it took.

    The root's description, and the layers below the packages, exist on all sides.
    """
    cache, packages = uuid.uuid4().hex, list(PACKAGES)
    if builder == "registry":
        here.image([], cache=cache, builder=builder, want="image")
    made = here.image(packages, cache=cache, builder=builder, want="result")
    more = here.image([*packages, ONE_MORE], cache=cache, builder=builder, want="image")
    changed = here.image(
        packages, cache=cache, builder=builder, want="image", runtime=uuid.uuid4().hex
    )
    for name, answer in (("first", made), ("more", more), ("runtime", changed)):
        seconds[name].append(answer["seconds"])
    return made


def slow_uplink(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure the first result where what is sent goes through a slow uplink, on both sides."""
    seconds: dict[str, list[float]] = {"registry": [], "plain": []}
    sent_mb: dict[str, list[float]] = {"registry": [], "plain": []}
    packages = list(PACKAGES)
    for number in range(rounds):
        with site(stage, slow=True) as here:
            sides = ("registry", "plain")
            here.image([], cache="slow", builder="registry", want="image")
            for side in sides if number % 2 == 0 else sides[::-1]:
                before = here.uplink.sent_bytes
                with here.uplink.throttled(UPLINK_MBIT):
                    if side == "registry":
                        made = here.image(packages, cache="slow", builder=side, want="result")
                    else:
                        made = here.plain(packages, invoke=True)
                seconds[side].append(made["seconds"])
                sent_mb[side].append((here.uplink.sent_bytes - before) / _MB)
    return {
        "first_result_registry_20mbit": sampling.ratio(seconds["registry"], seconds["plain"], "s"),
        "uploaded_registry_20mbit": sampling.ratio(sent_mb["registry"], sent_mb["plain"], "MB"),
    }


def use(stage: Stage, rounds: int) -> dict[str, Measurement]:
    """Measure what images that are there cost, and compare two that were made apart."""
    with site(stage) as here:
        first = here.image(list(PACKAGES), cache="here", want="result")
        known = here.image(list(PACKAGES), cache="elsewhere", want="result", engine=False)
        layers = layers_of(first["image"])
        cold = _cold_imports(first["image"], rounds)
    with site(stage) as there:
        # On the other root, of the same bytes, Docker knows no layer.
        second = there.image(list(PACKAGES), cache="there", want="build")
        same = layers == layers_of(second["image"])
    return {
        "known_image_docker_calls": Measurement(value=known["calls"]),
        "cold_import": sampling.ratio(cold["compiled"], cold["sources"], "ms"),
        "layers_reproducible": Measurement(
            value=float(same), detail=f"{len(layers)} layers of an image that was made twice"
        ),
    }


@contextmanager
def site(stage: Stage, *, slow: bool = False) -> Iterator[Site]:
    """Have a site while the context is open; a slow one is reached by an uplink."""
    scratch = stage.scratch / uuid.uuid4().hex
    scratch.mkdir()
    root = f"covalent-lambda-bench-root:{scratch.name[:12]}"
    label = f"FROM {stage.options['base_image']}\nLABEL bench={scratch.name}\n"
    DockerEngine().build(
        files({"Dockerfile": label.encode()}), root, architecture="x86_64", arguments={}, labels={}
    )
    with local_stack(scratch / "stack", stage.report) as stack, ExitStack() as cleanup:
        way = None
        if slow:
            way = cleanup.enter_context(uplink(int(stack.endpoint_url.rpartition(":")[2])))
            _let_functions_pull(scratch / "stack", way)
        made = Site(stage, stack, root, scratch, way)
        try:
            yield made
        finally:
            made.clear()


def _let_functions_pull(stack: Path, way: Uplink) -> None:
    """Let the local AWS log in to its registry under the uplink's address, too."""
    for file in stack.glob("*/config.json"):
        config = json.loads(file.read_text("utf-8"))
        (login,) = config["auths"].values()
        config["auths"][f"localhost:{way.port}"] = login
        file.write_text(json.dumps(config), "utf-8")


def size(image: str) -> int:
    """Return the bytes of an image, uncompressed."""
    found = DockerEngine().find(image)
    assert found is not None
    return found.size


def layers_of(image: str) -> list[str]:
    """Return the digests of an image's layers."""
    with contextlib.closing(docker.from_env()) as client:
        layers: list[str] = client.images.get(image).attrs["RootFS"]["Layers"]
        return layers


def _cold_imports(image: str, rounds: int) -> dict[str, list[float]]:
    """Import in fresh containers, of an image and of the same one without byte code."""
    bare = f"covalent-lambda-bench-sources:{uuid.uuid4().hex[:12]}"
    text = f"FROM {image}\nRUN find /var/task -name '*.pyc' -delete\n"
    DockerEngine().build(
        files({"Dockerfile": text.encode()}), bare, architecture="x86_64", arguments={}, labels={}
    )
    samples: dict[str, list[float]] = {"compiled": [], "sources": []}
    images = {"compiled": image, "sources": bare}
    with contextlib.closing(docker.from_env()) as client:
        for side in sampling.turns(("compiled", "sources"), rounds):
            printed = client.containers.run(
                images[side],
                ["-c", _PROGRAM.read_text("utf-8")],
                entrypoint="python3",
                network_mode="none",
                read_only=True,
                remove=True,
                tmpfs={"/tmp": ""},
            )
            samples[side].append(json.loads(printed))
        client.images.remove(bare, force=True)
    return samples
