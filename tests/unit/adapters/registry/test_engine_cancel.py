"""Builds and uploads that nobody wants any more end early and leave nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from covalent_lambda_container import progress
from covalent_lambda_container.files.cache_folder import SCRATCH
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.unit.adapters.registry.registry_images import (
    Dispatcher,
    uploaded,
)


class Unwanted(Exception):
    """Raised by whoever receives reports of an image that nobody wants any more."""


def test_uploads_end_when_nobody_wants_the_image_any_more(
    dispatcher: Dispatcher, server: Any
) -> None:
    server.seconds_per_body = 0.2
    name = f"{server.endpoint}/tasks:tag"
    dispatcher.builder.build(dispatcher.spec("numpy"), name)

    def receive(state: str) -> None:
        raise Unwanted(state)

    with (
        progress.reported_to(receive),
        pytest.raises(Unwanted, match=r"uploading: \d of \d layers"),
    ):
        dispatcher.builder.push(name, RegistryLogin(username="AWS", password="unused"))
    left = uploaded(server)
    time.sleep(0.5)
    assert uploaded(server) == left
    assert "tag" not in server.repositories["tasks"].manifests
    server.seconds_per_body = 0
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_build_that_nobody_wants_any_more_leaves_nothing(
    dispatcher: Dispatcher, server: Any
) -> None:
    def receive(state: str) -> None:
        if state.startswith("adding layer 2"):
            raise Unwanted(state)

    with progress.reported_to(receive), pytest.raises(Unwanted):
        dispatcher.builder.build(dispatcher.spec("numpy"), f"{server.endpoint}/tasks:tag")
    assert not list(dispatcher.cache.glob(f"{SCRATCH}*"))
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests
