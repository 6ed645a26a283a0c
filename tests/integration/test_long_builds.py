"""Packages may be compiled for hours, and say nothing meanwhile."""

from __future__ import annotations

import contextlib
import os
import re

import docker

from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.adapters.docker.containers import CONTAINER_LABEL, running
from covalent_lambda_container.model.names import lambda_architecture

HOURS_S = 2 * 3600


def architecture(client: docker.DockerClient) -> str:
    return lambda_architecture(client.version()["Arch"])


def test_a_command_may_be_silent_for_longer_than_requests(root_image: str) -> None:
    with (
        contextlib.closing(connect(timeout_s=2)) as client,
        running(client.api, root_image, architecture(client), offline=True) as container,
    ):
        assert container.run(["sh", "-c", "sleep 4; echo built"]) == "built\n"


def test_the_limits_are_hours(root_image: str) -> None:
    with (
        contextlib.closing(connect()) as client,
        running(client.api, root_image, architecture(client), offline=True),
    ):
        assert client.api.timeout > HOURS_S
        mine = f"{CONTAINER_LABEL}={os.getpid()}"
        (container,) = client.containers.list(filters={"label": mine})
        (lasts_s,) = re.findall(
            r"sleep\((\d+)\)", " ".join(container.attrs["Config"]["Entrypoint"])
        )
        assert int(lasts_s) > HOURS_S
