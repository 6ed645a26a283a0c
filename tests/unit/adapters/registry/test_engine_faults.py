"""Uploads to a registry that fails, forgets, or refuses."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pytest

from covalent_lambda_container.errors import RegistryError
from tests.fakes.registry_server import Fault, Stored
from tests.unit.adapters.registry.registry_images import (
    Dispatcher,
    manifest_of,
)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PATCH", "blobs/uploads", after_bytes=100, times=2),
        Fault("PATCH", "blobs/uploads", times=2),
        Fault("PUT", "blobs/uploads"),
        Fault("PUT", "manifests"),
        Fault("PATCH", "blobs/uploads", status=429, headers={"Retry-After": "7"}),
        Fault("PATCH", "blobs/uploads", status=500),
        Fault("PUT", "blobs/uploads", status=400, code="DIGEST_INVALID"),
        Fault("POST", "blobs/uploads", status=503),
        Fault("HEAD", "blobs", status=502),
        Fault("GET", "blobs", status=500),
        Fault("PUT", "manifests", status=500),
    ],
    ids=lambda fault: f"{fault.method}-{fault.kind}-{fault.status or fault.after_bytes}",
)
def test_temporary_faults_are_retried(dispatcher: Dispatcher, server: Any, fault: Fault) -> None:
    server.faults.append(fault)
    dispatcher.make("numpy")
    assert fault.times == 0
    assert dispatcher.waits
    assert max(dispatcher.waits) >= float(fault.headers.get("Retry-After", 0))
    held = server.repositories["tasks"]
    for digest, data in held.blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_a_login_that_has_ended_is_renewed_in_the_middle(
    dispatcher: Dispatcher, server: Any
) -> None:
    dispatcher.make("small==1")
    server.password = "another-secret"
    dispatcher.make("numpy", tag="more")
    assert "more" in server.repositories["tasks"].manifests


def test_a_root_layer_of_other_bytes_is_read_again(dispatcher: Dispatcher, server: Any) -> None:
    dispatcher.make("small==1")
    server.repositories["tasks"] = Stored()
    server.changed_bytes = 1
    dispatcher.make("small==1")
    for digest, data in server.repositories["tasks"].blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_blobs_that_the_registry_forgets_are_uploaded_again(
    dispatcher: Dispatcher, server: Any
) -> None:
    dispatcher.make("numpy")
    largest = manifest_of(server)["layers"][2]["digest"]
    server.forgets.append(largest)
    dispatcher.make("numpy", "small==1", tag="more")
    assert largest in server.repositories["tasks"].blobs
    assert "more" in server.repositories["tasks"].manifests


def test_a_repository_that_is_gone_fails_and_the_next_try_succeeds(
    dispatcher: Dispatcher, server: Any
) -> None:
    held = server.repositories.pop("tasks")
    with pytest.raises(RegistryError, match="NAME_UNKNOWN"):
        dispatcher.make("numpy")
    assert not held.manifests
    server.repositories["tasks"] = Stored()
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests


def test_a_refusal_names_no_password(
    dispatcher: Dispatcher, server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults += [
        Fault("PATCH", "blobs/uploads", status=500),
        Fault("POST", "blobs/uploads", status=403, code="DENIED", times=99),
    ]
    with caplog.at_level(logging.DEBUG), pytest.raises(RegistryError, match="DENIED") as refused:
        dispatcher.make("numpy")
    assert server.password not in str(refused.value) + caplog.text
    written = [file.read_bytes() for file in dispatcher.cache.rglob("*") if file.is_file()]
    assert not [content for content in written if server.password.encode() in content]


def test_a_root_that_breaks_off_is_downloaded_again(dispatcher: Dispatcher, server: Any) -> None:
    # Its configuration first, then a layer.
    server.changed_bytes = 2
    dispatcher.make("numpy")
    assert "tag" in server.repositories["tasks"].manifests
