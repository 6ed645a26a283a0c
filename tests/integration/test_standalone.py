"""``covalent-lambda render --context``: plain ``docker build`` builds the image from its folder."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from click.testing import CliRunner

from covalent_lambda_container.adapters.pip_configuration import read_index_settings
from covalent_lambda_container.cli.main import cli
from covalent_lambda_container.runtime import wire

PYTHON = ".".join(platform.python_version_tuple()[:2])
NAME = "covalent-lambda-tests-standalone"


@pytest.fixture
def client() -> Iterator[docker.DockerClient]:
    with contextlib.closing(docker.from_env()) as opened:
        yield opened
        with contextlib.suppress(docker.errors.APIError):
            opened.images.remove(NAME, force=True)


@pytest.fixture
def context(root_image: str, tmp_path: Path) -> Path:
    """A build context, with this machine's certificate authorities."""
    folder = tmp_path / "context"
    authorities = tmp_path / "ca.pem"
    options = ["--base-image", root_image, "--context", str(folder)]
    if bundle := read_index_settings().ca_bundle:
        authorities.write_bytes(bundle)
        options += ["--ca-bundle", str(authorities)]
    ended = CliRunner().invoke(cli, ["render", "six==1.17.0", "enum34==1.1.10", *options])
    assert ended.exit_code == 0, ended.output
    return folder


def ask(container: Any, event: dict[str, Any]) -> dict[str, Any]:
    """Invoke the emulator in a container."""
    container.reload()
    networks = container.attrs["NetworkSettings"]
    address = networks["IPAddress"] or networks["Networks"]["bridge"]["IPAddress"]
    url = f"http://{address}:8080/2015-03-31/functions/function/invocations"
    for attempt in range(50):
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(url, json.dumps(event).encode(), timeout=10) as answer:
                answered: dict[str, Any] = json.load(answer)
                return answered
        except OSError:
            if attempt == 49:
                raise
            time.sleep(0.2)
    raise AssertionError


def test_docker_builds_a_written_context(client: docker.DockerClient, context: Path) -> None:
    arguments = {name: os.environ[name] for name in ("PIP_INDEX_URL",) if name in os.environ}
    arguments |= dict(read_index_settings().proxies)
    settings = read_index_settings()
    if settings.index_url:
        arguments["PIP_INDEX_URL"] = settings.index_url
    client.images.build(path=str(context), tag=NAME, buildargs=arguments, rm=True)
    script = "import sys; sys.path.append('/var/task'); import six; print(six.__version__)"
    output = client.containers.run(NAME, ["python3", "-c", script], entrypoint=[], remove=True)
    assert output == b"1.17.0\n"
    lock = client.containers.run(
        NAME, ["cat", "/var/task/requirements.lock"], entrypoint=[], remove=True
    ).decode()
    assert {"six==1.17.0", "enum34==1.1.10"} < set(lock.split())
    listed = client.containers.run(NAME, ["ls", "/"], entrypoint=[], remove=True).decode().split()
    assert not {"build", "image"} & set(listed)
    container = client.containers.run(NAME, detach=True)
    try:
        event = {"v": wire.VERSION, "ping": True, "hold_s": 0}
        answer = ask(container, event)
        assert answer.pop("environment")
        assert answer == {"v": wire.VERSION, "pong": True, "cold": True, "stored": []}
    finally:
        container.remove(force=True)
