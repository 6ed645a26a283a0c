"""Images that nobody wants any more."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from covalent_lambda_container import progress
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.files.cache_folder import SCRATCH
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.registry_server import FakeRegistryServer, Fault
from tests.unit.adapters.registry.registry_images import Dispatcher, uploaded

SILENT_S = 30.0
AT_ONCE_S = 8.0
"""Waiting for a thread in a silent connection included."""


def wait_until(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.005)


def asked(server: FakeRegistryServer, method: str, kind: str) -> bool:
    return any(request[:2] == (method, kind) for request in server.requests)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("GET", "manifests", silent_s=SILENT_S),
        Fault("GET", "blobs", silent_s=SILENT_S, times=9),
        Fault("HEAD", "blobs", silent_s=SILENT_S, times=9),
        Fault("POST", "blobs/uploads", silent_s=SILENT_S, times=9),
        Fault("PATCH", "blobs/uploads", silent_s=SILENT_S, times=9),
        Fault("PATCH", "blobs/uploads", after_bytes=100, silent_s=SILENT_S, times=9),
        Fault("PUT", "manifests", silent_s=SILENT_S),
        # It waits for its next attempt.
        Fault("PATCH", "blobs/uploads", status=429, headers={"Retry-After": "30"}, times=99),
        Fault("GET", "blobs", status=503, headers={"Retry-After": "30"}, times=99),
    ],
    ids=lambda fault: f"{fault.method}-{fault.kind}-{fault.status or fault.after_bytes}",
)
def test_an_image_stops_at_once_wherever_it_is(
    server: FakeRegistryServer, dispatcher: Dispatcher, fault: Fault
) -> None:
    dispatcher.sleep = cancellable.sleep
    server.faults.append(fault)
    cancellation = Cancellation()
    making = in_background(lambda: dispatcher.make("numpy", "small==1"), cancellation)
    wait_until(lambda: asked(server, fault.method, fault.kind))
    time.sleep(0.3)
    assert not making.done()
    check_stops(dispatcher, cancellation, making)


def check_stops(dispatcher: Dispatcher, cancellation: Cancellation, making: Future[Any]) -> None:
    """Check that a cancelled image stops, leaves nothing, and can be made after that."""
    server, started = dispatcher.server, time.monotonic()
    cancellation.request()
    with pytest.raises(Cancelled):
        making.result(AT_ONCE_S)
    assert time.monotonic() - started < AT_ONCE_S
    # A layer of the root may have been on its way.
    wait_until(lambda: not list(dispatcher.cache.glob(f"{SCRATCH}*")))
    # What was being sent arrives, and nothing follows it.
    time.sleep(0.3)
    asked_for = len(server.requests)
    time.sleep(0.3)
    assert len(server.requests) == asked_for
    assert not server.repositories["tasks"].manifests
    server.faults.clear()
    dispatcher.make("numpy", "small==1")
    for digest, data in server.repositories["tasks"].blobs.items():
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == digest


def test_an_image_stops_while_its_packages_are_installed(
    server: FakeRegistryServer, dispatcher: Dispatcher
) -> None:
    installing, install = threading.Event(), dispatcher.installer.install

    def install_slowly(*args: Any, **given: Any) -> None:
        installing.set()
        cancellable.sleep(SILENT_S)

    dispatcher.installer.install = install_slowly  # type: ignore[method-assign]
    cancellation = Cancellation()
    making = in_background(lambda: dispatcher.make("numpy", "small==1"), cancellation)
    assert installing.wait(20)
    dispatcher.installer.install = install  # type: ignore[method-assign]
    check_stops(dispatcher, cancellation, making)


@pytest.mark.parametrize("state", ["looking for", "adding layer 2", "adding the runtime"])
def test_an_image_stops_between_its_steps(
    server: FakeRegistryServer, dispatcher: Dispatcher, state: str
) -> None:
    cancellation, reached, go_on = Cancellation(), threading.Event(), threading.Event()

    def receive(now: str) -> None:
        if now.startswith(state) and not go_on.is_set():
            reached.set()
            assert go_on.wait(20)

    def make() -> str:
        with progress.reported_to(receive):
            return dispatcher.make("numpy", "small==1")

    making = in_background(make, cancellation)
    assert reached.wait(20)
    cancellation.on_request(go_on.set)
    check_stops(dispatcher, cancellation, making)


def test_a_layer_that_two_images_upload_arrives_although_one_is_cancelled(
    server: FakeRegistryServer, dispatcher: Dispatcher
) -> None:
    server.seconds_per_body = 0.5
    cancellation = Cancellation()
    cancelled = in_background(lambda: dispatcher.make("numpy", tag="one"), cancellation)
    wait_until(lambda: asked(server, "PATCH", "blobs/uploads"))
    other = in_background(lambda: dispatcher.make("numpy", "small==1", tag="other"))
    time.sleep(0.2)
    cancellation.request()
    with pytest.raises(Cancelled):
        cancelled.result(20)
    assert other.result(20).startswith("sha256:")
    assert set(server.repositories["tasks"].manifests) >= {"other"}
    assert "one" not in server.repositories["tasks"].manifests


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
