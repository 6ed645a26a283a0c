"""An engine's streams: read to the end, since they contain failures."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.adapters.docker.streams import (
    RegistryUnreachable,
    follow_build,
    push_error,
)
from covalent_lambda_container.errors import ImageBuildError, RegistryError

STREAMS = Path(__file__).parent / "streams"
NAME = "registry.example.com:5000/covalent-lambda:3f2a"
IMAGE_ID = "sha256:c0279d6572cbf3e9b69f8e94a7f5f007567afb91efae1ba2b0347a154c01d8eb"


def recorded(name: str) -> list[dict[str, Any]]:
    """Return a stream that Docker 28's classic builder really sent."""
    return [json.loads(line) for line in (STREAMS / f"{name}.jsonl").read_text().splitlines()]


def follow(name: str) -> str:
    return follow_build(recorded(name), NAME)


def test_a_record_is_not_a_line() -> None:
    pieces = ["\x1b[91mE", ":", " Unable to locate ", "package nosuchpkg\x1b[0m\n", "last"]
    stream = [{"stream": piece} for piece in pieces]
    steps = [{"stream": f"Step {n}/9 : RUN x\n ---> Running in 1\n"} for n in range(50)]
    ending = [{"stream": "Removing intermediate container 1\n"}, {"error": "no"}]
    with pytest.raises(ImageBuildError) as caught:
        follow_build([*stream[:4], *steps, stream[4], *ending[1:]], NAME)
    assert str(caught.value).splitlines()[1:] == ["E: Unable to locate package nosuchpkg", "last"]
    with pytest.raises(ImageBuildError) as caught:
        follow_build([*stream[:4], *ending], NAME)
    assert str(caught.value).splitlines()[1:] == ["E: Unable to locate package nosuchpkg"]


# -- the stream of a build ------------------------------------------------------------------------


def test_a_build_that_succeeds_gives_the_images_id() -> None:
    assert follow("success") == IMAGE_ID


def test_output_is_logged_without_its_colours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "covalent_lambda_container.adapters.docker.streams"):
        follow("success")
    assert f"build {NAME}: warning" in caplog.messages
    assert "\x1b" not in caplog.text


def test_a_build_that_fails_shows_dockers_reason_and_the_output_before_it() -> None:
    with pytest.raises(ImageBuildError) as caught:
        follow("pip-fails")
    first, *rest = str(caught.value).splitlines()
    assert first.startswith(f"Build of {NAME} failed: The command '/bin/sh -c ")
    assert first.endswith("returned a non-zero code: 1")
    assert "ERROR: No matching distribution found for nosuch==9" in rest
    assert "\x1b" not in str(caught.value)


def test_a_root_image_that_cannot_be_pulled_is_a_failed_build() -> None:
    with pytest.raises(ImageBuildError, match="connection refused"):
        follow("root-image-missing")


def test_only_the_last_lines_are_shown() -> None:
    lines = [{"stream": f"line {number}\n"} for number in range(1000)]
    with pytest.raises(ImageBuildError) as caught:
        follow_build([*lines, {"error": "failed"}], NAME)
    assert str(caught.value).splitlines()[1:] == [f"line {number}" for number in range(950, 1000)]


def test_a_password_of_a_proxy_that_a_command_shows_is_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = "HTTPS_PROXY=http://me:hunter2@proxy.example.com:3128"
    stream = [{"stream": f"{shown}\n"}, {"error": f"The command 'curl -x {shown}' returned 1"}]
    caplog.set_level(logging.INFO, "covalent_lambda_container.adapters.docker.streams")
    with pytest.raises(ImageBuildError) as caught:
        follow_build(stream, NAME)
    assert "HTTPS_PROXY=http://…@proxy.example.com:3128" in caplog.text
    assert "hunter2" not in caplog.text + str(caught.value)


def test_a_stream_that_ends_early_is_a_failed_build() -> None:
    stream = [record for record in recorded("success") if "aux" not in record]
    with pytest.raises(ImageBuildError, match=r"ended without an image.\nhello"):
        follow_build(stream, NAME)


@pytest.mark.parametrize("name", ["success", "pip-fails"])
def test_a_stream_is_read_only_once_and_to_its_end(name: str) -> None:
    stream: Iterator[dict[str, Any]] = iter(recorded(name))
    with contextlib.suppress(ImageBuildError):
        follow_build(stream, NAME)
    assert list(stream) == []


# -- a push that failed ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reason",
    [
        'Get "https://registry.example.com:5000/v2/": dial tcp 192.0.2.1:5000: connect: connection '
        "refused",
        'Head "https://registry.example.com:5000/v2/a/blobs/sha256:0a": EOF',
        "write tcp 192.0.2.1:41216->192.0.2.2:443: write: connection reset by peer",
        "dial tcp: lookup registry.example.com on 192.0.2.53:53: no such host",
        "dial tcp: lookup registry.example.com: i/o timeout",
        "net/http: TLS handshake timeout",
        "received unexpected HTTP status: 503 Service Unavailable",
        "unexpected status from PUT request to https://registry.example.com/v2/: 500 Internal",
        'trying to reuse blob: pinging container registry localhost:1: Get "http://localhost:1/v2/'
        '": dial tcp [::1]:1: connect: connection refused (HTTP status 500)',
    ],
)
def test_a_registry_that_was_not_reached_is_not_a_matter_of_permissions(reason: str) -> None:
    error = push_error(NAME, reason)
    assert isinstance(error, RegistryUnreachable)
    assert reason in error.message
    assert "registry.example.com:5000" in str(error.hint)
    assert "ecr:" not in str(error)


@pytest.mark.parametrize(
    "reason",
    [
        "denied: User: arn:aws:iam::1:user/a is not authorized to perform: ecr:PutImage",
        "unauthorized: authentication required",
        "no basic auth credentials",
        "denied: Your authorization token has expired. Reauthenticate and try again.",
        "unexpected status from POST request to https://registry.example.com/v2/: 403 Forbidden",
    ],
)
def test_a_refusal_is_answered_with_the_permissions_that_a_push_needs(reason: str) -> None:
    error = push_error(NAME, reason)
    assert not isinstance(error, RegistryUnreachable)
    assert error.message.startswith(f"Push of {NAME} was refused: ")
    assert "ecr:PutImage" in str(error.hint)


@pytest.mark.parametrize("reason", ["manifest invalid", "tag already exists and is immutable"])
def test_any_other_failure_is_reported_unchanged(reason: str) -> None:
    error = push_error(NAME, reason)
    assert (type(error), error.message) == (RegistryError, f"Push of {NAME} failed: {reason}.")
    assert error.hint is None
