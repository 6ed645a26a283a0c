"""A repository whose registry does not answer."""

from __future__ import annotations

import pytest

from covalent_lambda_container.adapters.registry.references import parse
from covalent_lambda_container.adapters.registry.repository import Repository
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.registry_server import FakeRegistryServer, Fault, Stored


def test_a_registry_that_has_answered_before_is_waited_for_longer() -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)

    with FakeRegistryServer() as server:
        server.repositories["tasks"] = Stored()
        login = RegistryLogin(username="AWS", password=server.password)
        reference = parse(f"{server.endpoint}/tasks:any")
        known, new = (Repository(reference, lambda: login, sleep=wait) for _ in range(2))
        assert not known.has_blob("sha256:0")
        # It closes every connection without an answer.
        server.faults.append(Fault("HEAD", "blobs", times=99))
        for repository, waited in ((known, [0.5, 2, 5, 15]), (new, [0.5, 2])):
            waits.clear()
            with pytest.raises(RegistryError, match="could not look for blob"):
                repository.has_blob("sha256:0")
            assert waits == waited
