"""A registry, and a machine that makes images without an engine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.registry_server import FakeRegistryServer, Stored
from tests.unit.adapters.registry.registry_images import Dispatcher, add_root


@pytest.fixture
def server() -> Iterator[FakeRegistryServer]:
    with FakeRegistryServer() as running:
        running.repositories["tasks"] = Stored()
        add_root(running)
        yield running


@pytest.fixture
def dispatcher(server: FakeRegistryServer, tmp_path: Path) -> Dispatcher:
    return Dispatcher(server, tmp_path / "cache")
