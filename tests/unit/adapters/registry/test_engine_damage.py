"""Layers and records that were damaged on the disk are made again, and never pushed."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.files.cache_folder import SCRATCH
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.registry_server import Stored
from tests.unit.adapters.registry.registry_images import (
    Dispatcher,
)


def test_a_disk_that_is_full_leaves_nothing_and_the_next_try_succeeds(
    dispatcher: Dispatcher, server: Any
) -> None:
    layers = dispatcher.cache / "layers"
    dispatcher.cache.mkdir()
    layers.write_text("in the way, as a full disk is")
    with pytest.raises(ImageBuildError, match="could not be written"):
        dispatcher.make("numpy")
    assert not server.repositories["tasks"].manifests
    assert not list(dispatcher.cache.glob(f"{SCRATCH}*"))
    layers.unlink()
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_layer_that_was_cut_short_is_made_again(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("numpy")
    for file in (dispatcher.cache / "layers").glob("*.tar.gz"):
        file.write_bytes(file.read_bytes()[:10])
    server.repositories["tasks"] = Stored()
    dispatcher.make("numpy")
    for digest, data in server.repositories["tasks"].blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_a_layer_that_was_damaged_is_made_again(
    dispatcher: Dispatcher, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    digest = dispatcher.make("numpy")
    for file in (dispatcher.cache / "layers").glob("*.tar.gz"):
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
    server.repositories["tasks"] = Stored()
    assert dispatcher.make("numpy") == digest
    assert "was damaged" in caplog.text
    # Another process, whose image lacks no layer now.
    server.repositories["tasks"] = Stored()
    assert Dispatcher(server, dispatcher.cache).make("numpy") == digest


def test_an_image_whose_record_was_damaged_is_made_again(
    dispatcher: Dispatcher, server: Any
) -> None:
    digest = dispatcher.make("numpy")
    for file in (dispatcher.cache / "images").glob("*.json"):
        file.write_text(file.read_text().replace("LAMBDA_TASK_ROOT", "LAMBDA_TASK_LOOT"))
    server.repositories["tasks"] = Stored()
    assert dispatcher.make("numpy") == digest


def test_a_layer_that_is_damaged_between_build_and_push_is_not_pushed(
    dispatcher: Dispatcher, server: Any
) -> None:
    name = f"{server.endpoint}/tasks:tag"
    dispatcher.builder.build(dispatcher.spec("numpy"), name)
    for file in (dispatcher.cache / "layers").glob("*.tar.gz"):
        file.write_bytes(bytes(file.stat().st_size))
    with pytest.raises(ImageBuildError, match=r"was damaged(.|\n)*Try again"):
        dispatcher.builder.push(name, RegistryLogin(username="AWS", password="unused"))
    assert "tag" not in server.repositories["tasks"].manifests
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests
