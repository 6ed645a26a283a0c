"""Packages that are compiled for hours: nothing but the limit on silence ends their build."""

from __future__ import annotations

import contextlib
import re

import docker
import pytest
from requests.exceptions import RequestException

from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.adapters.docker.containers import CONTAINER_LABEL, running
from covalent_lambda_container.model.names import lambda_architecture

HOURS_S = 2 * 3600
SILENT_S = "4"


def architecture(client: docker.DockerClient) -> str:
    return lambda_architecture(client.version()["Arch"])


@pytest.mark.parametrize(("limit_s", "ends"), [(2, False), (30, True)])
def test_a_command_may_be_silent_up_to_the_limit(root_image: str, limit_s: int, ends: bool) -> None:
    with (
        contextlib.closing(connect(timeout_s=limit_s)) as client,
        running(client.api, root_image, architecture(client), offline=True) as container,
    ):
        command = ["sh", "-c", f"sleep {SILENT_S}; echo built"]
        if ends:
            assert container.run(command) == "built\n"
        else:
            with pytest.raises((RequestException, docker.errors.DockerException, OSError)):
                container.run(command)


def test_the_limits_are_hours(root_image: str) -> None:
    with (
        contextlib.closing(connect()) as client,
        running(client.api, root_image, architecture(client), offline=True),
    ):
        assert client.api.timeout > HOURS_S
        (container,) = client.containers.list(filters={"label": CONTAINER_LABEL})
        (lasts_s,) = re.findall(
            r"sleep\((\d+)\)", " ".join(container.attrs["Config"]["Entrypoint"])
        )
        assert int(lasts_s) > HOURS_S
