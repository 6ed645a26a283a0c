"""The Docker engine: its streams are read to the end, since failures are inside them."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import logging
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.adapters.docker_engine import DockerEngine, _follow_build
from covalent_lambda_container.errors import ImageBuildError, RegistryError
from covalent_lambda_container.files.archives import files
from covalent_lambda_container.ports.registry import RegistryLogin
from covalent_lambda_container.progress import reported_to
from tests.fakes.docker_api import FakeDockerApi

# docker-py leaves the socket of a stream that is not read to its end to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

STREAMS = Path(__file__).parent / "streams"
NAME = "registry.example.com:5000/covalent-lambda:3f2a"
LOGIN = RegistryLogin(username="AWS", password="secret")
IMAGE_ID = "sha256:c0279d6572cbf3e9b69f8e94a7f5f007567afb91efae1ba2b0347a154c01d8eb"


def recorded(name: str) -> list[dict[str, Any]]:
    """Return a stream that Docker 28's classic builder really sent."""
    return [json.loads(line) for line in (STREAMS / f"{name}.jsonl").read_text().splitlines()]


def follow(name: str) -> str:
    return _follow_build(recorded(name), NAME)


# -- the stream of a build ------------------------------------------------------------------------


def test_a_build_that_succeeds_gives_the_images_id() -> None:
    assert follow("success") == IMAGE_ID


def test_output_is_logged_without_its_colours(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "covalent_lambda_container.adapters.docker_engine"):
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
        _follow_build([*lines, {"error": "failed"}], NAME)
    assert str(caught.value).splitlines()[1:] == [f"line {number}" for number in range(950, 1000)]


def test_a_password_of_a_proxy_that_a_command_shows_is_not_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown = "HTTPS_PROXY=http://me:hunter2@proxy.example.com:3128"
    stream = [{"stream": f"{shown}\n"}, {"error": f"The command 'curl -x {shown}' returned 1"}]
    caplog.set_level(logging.INFO, "covalent_lambda_container.adapters.docker_engine")
    with pytest.raises(ImageBuildError) as caught:
        _follow_build(stream, NAME)
    assert "HTTPS_PROXY=http://…@proxy.example.com:3128" in caplog.text
    assert "hunter2" not in caplog.text + str(caught.value)


def test_a_stream_that_ends_early_is_a_failed_build() -> None:
    stream = [record for record in recorded("success") if "aux" not in record]
    with pytest.raises(ImageBuildError, match=r"ended without an image.\nStep 1/2(.|\n)*hello"):
        _follow_build(stream, NAME)


@pytest.mark.parametrize("name", ["success", "pip-fails"])
def test_a_stream_is_read_only_once_and_to_its_end(name: str) -> None:
    stream: Iterator[dict[str, Any]] = iter(recorded(name))
    with contextlib.suppress(ImageBuildError):
        _follow_build(stream, NAME)
    assert list(stream) == []


# -- an engine ------------------------------------------------------------------------------------


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDockerApi]:
    with FakeDockerApi() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        yield engine


@pytest.fixture
def engine(api: FakeDockerApi) -> Iterator[DockerEngine]:
    engine = DockerEngine()
    yield engine
    if engine._client:
        engine._client.close()
    gc.collect()


def build(engine: DockerEngine, **changes: Any) -> str:
    given: dict[str, Any] = {"architecture": "x86_64", "arguments": {}, "labels": {}}
    return engine.build(files({"Dockerfile": b"FROM scratch"}), NAME, **(given | changes))


def pushed(*records: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"status": "The push refers to repository [registry.example.com]"}, *records]


def test_a_build_has_its_context_arguments_and_labels(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [[{"aux": {"ID": "sha256:task"}}]]
    labels = {"spec": '{"requirements": ["name @ https://example.com/a?b=c&d"]}'}
    assert build(engine, arguments={"BASE": "base"}, labels=labels, target="system") == (
        "sha256:task"
    )
    (request,) = api.requests
    assert (request["t"], request["target"]) == (NAME, "system")
    assert json.loads(request["buildargs"]) == {"BASE": "base"}
    assert json.loads(request["labels"]) == labels
    with tarfile.open(fileobj=io.BytesIO(request["body"])) as archive:
        assert archive.getnames() == ["Dockerfile"]


@pytest.mark.parametrize(
    ("architecture", "platform"), [("x86_64", None), ("arm64", "linux/arm64")]
)  # fmt: skip
def test_a_platform_is_named_only_where_the_engine_has_another(
    engine: DockerEngine, api: FakeDockerApi, architecture: str, platform: str | None
) -> None:
    api.streams = [[{"aux": {"ID": "sha256:task"}}]]
    build(engine, architecture=architecture)
    assert [request.get("platform") for request in api.requests] == [platform]


def test_proxies_of_the_dispatcher_are_passed_on(
    engine: DockerEngine, api: FakeDockerApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("https_proxy", "http://proxy.example.com")
    api.streams = [[{"aux": {"ID": "sha256:task"}}]]
    build(engine)
    arguments = json.loads(api.requests[0]["buildargs"])
    assert arguments["HTTPS_PROXY"] == arguments["https_proxy"] == "http://proxy.example.com"
    assert "HTTP_PROXY" not in arguments


def test_a_push_has_its_own_credentials_and_gives_the_digest(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [pushed({"aux": {"Tag": "3f2a", "Digest": "sha256:0a", "Size": 528}})]
    assert engine.push(NAME, LOGIN) == "sha256:0a"
    (request,) = api.requests
    assert request["tag"] == "3f2a"
    assert request["auth"].items() >= {"username": "AWS", "password": "secret"}.items()


def test_a_refusal_inside_the_stream_is_an_error_without_the_password(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [pushed({"errorDetail": {"message": "denied"}, "error": "denied"})]
    with pytest.raises(RegistryError, match=rf"^Push of {NAME} was refused: denied.\n") as caught:
        engine.push(NAME, LOGIN)
    assert "ecr:PutImage" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_push_reports_layers_and_bytes(engine: DockerEngine, api: FakeDockerApi) -> None:
    def sending(current: int) -> dict[str, Any]:
        detail = {"current": current, "total": 85_000_000}
        return {"id": "1a", "status": "Pushing", "progressDetail": detail}

    api.streams = [
        pushed(
            {"id": "1a", "status": "Preparing"},
            {"id": "2b", "status": "Preparing"},
            {"id": "2b", "status": "Layer already exists"},
            sending(41_000_000),
            # Docker counts padding, too.
            sending(86_000_000),
            {"id": "1a", "status": "Pushed"},
            {"aux": {"Digest": "sha256:0a"}},
        )
    ]
    told: list[str] = []
    with reported_to(told.append):
        engine.push(NAME, LOGIN)
    assert list(dict.fromkeys(told)) == [
        "pushing: 0 of 1 layers",
        "pushing: 0 of 2 layers",
        "pushing: 1 of 2 layers",
        "pushing: 1 of 2 layers, 41 of 85 MB",
        "pushing: 1 of 2 layers, 86 of 86 MB",
        "pushing: 2 of 2 layers, 86 of 86 MB",
    ]


def test_a_push_that_ends_without_a_digest_is_an_error(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [pushed({"status": "Waiting"})]
    with pytest.raises(RegistryError, match="ended without a digest"):
        engine.push(NAME, LOGIN)


def test_without_an_engine_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(
        ImageBuildError, match=r"^Docker could not build an image: (.|\n)*docker in"
    ):
        build(DockerEngine())


def test_an_engine_that_goes_away_during_a_build_is_our_error(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams, api.breaks_off = [[{"stream": "Step 1/2"}]], True
    with pytest.raises(ImageBuildError, match=r"^Docker could not build an image: "):
        build(engine)


def test_an_engine_that_goes_away_during_a_push_is_our_error(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams, api.breaks_off = [pushed()], True
    with pytest.raises(ImageBuildError, match=r"^Docker could not push an image: "):
        engine.push(NAME, LOGIN)
