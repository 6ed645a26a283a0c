"""Builds, pulls and pushes through an engine's API."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import os
import tarfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.adapters.docker.connection import EngineConnection
from covalent_lambda_container.adapters.docker.engine import DockerEngine
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.errors import ImageBuildError, RegistryError
from covalent_lambda_container.files.archives import Member, files
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.docker_api import FakeDockerApi

# docker-py leaves the socket of a stream that is not read to its end to the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

NAME = "registry.example.com:5000/covalent-lambda:3f2a"
LOGIN = RegistryLogin(username="AWS", password="secret")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDockerApi]:
    with FakeDockerApi() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url)
        yield engine


@pytest.fixture
def engine(api: FakeDockerApi) -> Iterator[DockerEngine]:
    connection = EngineConnection()
    yield DockerEngine(connection, sleep=api.waits.append)
    connection.close()
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


def test_a_proxys_password_is_in_no_log_and_no_error(
    engine: DockerEngine,
    api: FakeDockerApi,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cret@proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
    api.streams = [[{"aux": {"ID": "sha256:task"}}]]
    with caplog.at_level(logging.DEBUG):
        build(engine)
        assert "s3cret" in api.requests[0]["buildargs"]
        assert "buildargs=..." in caplog.text
        api.__exit__(None, None, None)
        with pytest.raises(ImageBuildError) as caught:
            build(engine)
    assert "s3cret" not in caplog.text
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


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


def test_a_push_that_ends_without_a_digest_is_an_error(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [pushed({"status": "Waiting"})]
    with pytest.raises(RegistryError, match="ended without a digest"):
        engine.push(NAME, LOGIN)


def test_without_an_engine_the_error_has_advice(monkeypatch: pytest.MonkeyPatch) -> None:
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


def refused(name: str = NAME) -> list[dict[str, Any]]:
    return pushed({"error": 'Get "http://registry.example.com:5000/v2/": connection refused'})


def test_a_push_to_a_registry_that_is_not_reached_is_retried(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [refused(), refused(), pushed({"aux": {"Digest": "sha256:0a"}})]
    assert engine.push(NAME, LOGIN) == "sha256:0a"
    assert len(api.waits) == 2
    assert all(wait > 0 for wait in api.waits)


def test_a_registry_that_is_never_reached_is_an_error_after_some_attempts(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [refused() for _ in range(4)]
    with pytest.raises(RegistryError, match="could not be reached"):
        engine.push(NAME, LOGIN)
    assert api.streams == []


def test_a_push_that_is_refused_is_not_retried(engine: DockerEngine, api: FakeDockerApi) -> None:
    api.streams = [pushed({"error": "denied"})]
    with pytest.raises(RegistryError):
        engine.push(NAME, LOGIN)
    assert api.waits == []


def test_a_push_that_fails_before_its_stream_is_a_registrys_error(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    # podman's way.
    api.statuses = [(500, "unauthorized: not allowed")]
    with pytest.raises(RegistryError, match="was refused: unauthorized: not allowed"):
        engine.push(NAME, LOGIN)


def test_a_pull_that_fails_inside_its_stream_says_why(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [[{"status": "Pulling"}, {"error": "manifest unknown"}]]
    with pytest.raises(ImageBuildError, match=r"could not pull .*: manifest unknown"):
        engine.pull("registry.example.com/root:1", "x86_64")


@pytest.mark.parametrize("in_stream", [False, True], ids=["before", "in the stream"])
def test_a_root_image_that_cannot_be_pulled_leads_to_the_option_that_names_it(
    engine: DockerEngine, api: FakeDockerApi, in_stream: bool
) -> None:
    if in_stream:
        api.streams = [[{"error": "manifest unknown"}]]
    else:
        api.statuses = [(404, "manifest for registry.example.com/root:1 not found")]
    with pytest.raises(ImageBuildError) as caught:
        engine.pull("registry.example.com/root:1", "x86_64")
    assert "option base_image" in str(caught.value.hint)
    assert "docker info" not in str(caught.value)


def test_a_full_disk_is_not_blamed_on_the_root_images_name(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.statuses = [(500, "write /var/lib/docker/tmp/1: no space left on device")]
    with pytest.raises(ImageBuildError) as caught:
        engine.pull("registry.example.com/root:1", "x86_64")
    assert "base_image" not in str(caught.value)
    assert "free space" in str(caught.value.hint)


def test_an_image_that_is_absent_in_an_engines_own_words_is_not_found(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.answers["/images/absent/json"] = 404, {"cause": "image not known", "response": 404}
    assert engine.find("absent") is None


def inspected(**changes: Any) -> dict[str, Any]:
    found = {"Id": "sha256:1", "Architecture": "amd64", "Size": 1000, "Config": None}
    return found | changes


@pytest.mark.parametrize(
    ("size", "history", "expected"),
    [
        (1000, [{"Size": 600}, {"Size": 0}, {"Size": 400}], 1000),
        (300, [{"Size": 600}, {"Size": 400}], 1000),
        (1000, [], 1000),
    ],
    ids=["docker's store", "containerd's store: size is compressed", "an image without history"],
)
def test_the_size_of_an_image_is_that_of_its_unpacked_layers(
    engine: DockerEngine, api: FakeDockerApi, size: int, history: list[Any], expected: int
) -> None:
    api.answers["/images/task/json"] = 200, inspected(Size=size)
    api.answers["/images/sha256:1/history"] = 200, history
    found = engine.find("task")
    assert found is not None
    assert found.size == expected


# -- what helps -----------------------------------------------------------------------------------


def test_an_engine_that_answers_need_not_be_started(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.statuses = [(500, "driver failed")]
    with pytest.raises(ImageBuildError, match="driver failed") as caught:
        build(engine)
    assert "Start" not in str(caught.value)


def test_a_full_disk_has_advice_on_freeing_space(engine: DockerEngine, api: FakeDockerApi) -> None:
    api.statuses = [(500, "write /var/lib/docker/x: no space left on device")]
    with pytest.raises(ImageBuildError, match=r"gc --local"):
        build(engine)


# -- credential helpers ---------------------------------------------------------------------------


HELPERS = {
    "no such program": None,
    "fails": "#!/bin/sh\necho expired; exit 1\n",
    "answers nonsense": "#!/bin/sh\necho '{}'\n",
    "is no JSON": "#!/bin/sh\necho hello\n",
}


@pytest.fixture(params=HELPERS)
def broken_helper(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's configuration names a credential helper that is of no use."""
    (tmp_path / "config.json").write_text('{"credsStore": "broken", "auths": {"a.example": {}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    if program := HELPERS[request.param]:
        helper = tmp_path / "docker-credential-broken"
        helper.write_text(program)
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")


def test_a_build_asks_no_credential_helper(
    broken_helper: None, engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams = [[{"aux": {"ID": "sha256:task"}}]]
    assert build(engine) == "sha256:task"


@pytest.mark.filterwarnings("ignore:docker-credential-broken not installed:UserWarning")
def test_a_pull_continues_without_a_credential_helper_and_says_so(
    broken_helper: None,
    engine: DockerEngine,
    api: FakeDockerApi,
    caplog: pytest.LogCaptureFixture,
) -> None:
    api.streams = [[{"status": "Pulling"}]]
    api.answers["/images/registry.example.com/root:1/json"] = 200, inspected()
    api.answers["/images/sha256:1/history"] = 200, []
    engine.pull("registry.example.com/root:1", "x86_64")
    assert "credentials for registry.example.com cannot be read" in caplog.text


def test_a_pull_uses_the_credentials_of_its_registry_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: DockerEngine, api: FakeDockerApi
) -> None:
    def login(user: str) -> dict[str, str]:
        return {"auth": base64.b64encode(f"{user}:secret".encode()).decode()}

    auths = {"registry.example.com": login("ours"), "other.example.com": login("other")}
    (tmp_path / "config.json").write_text(json.dumps({"auths": auths}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    api.streams = [[{"status": "Pulling"}]]
    api.answers["/images/registry.example.com/root:1/json"] = 200, inspected()
    api.answers["/images/sha256:1/history"] = 200, []
    engine.pull("registry.example.com/root:1", "x86_64")
    assert api.requests[0]["auth"]["username"] == "ours"
    assert "other" not in str(api.requests[0]["auth"])


@pytest.mark.parametrize(
    "ask",
    [build, lambda engine: engine.push(NAME, LOGIN), lambda engine: engine.pull(NAME, "x86_64")],
    ids=["build", "push", "pull"],
)
def test_a_cancelled_request_ends_at_once_and_the_engine_sees_it(
    engine: DockerEngine, api: FakeDockerApi, ask: Callable[[DockerEngine], object]
) -> None:
    api.holds, api.streams = True, [[{"status": "begins", "stream": "Step 1/9"}]]
    cancellation = Cancellation()
    asking = in_background(lambda: ask(engine), cancellation)
    assert api.holding.wait(10)
    cancellation.request()
    with pytest.raises(Cancelled):
        asking.result(5)
    assert api.hung_up.wait(5)
    # It is not tried again, and the engine may be used for the next image.
    assert (len(api.requests), api.waits) == (1, [])
    api.holds, api.streams = False, [[{"aux": {"ID": "sha256:task"}}]]
    assert build(engine) == "sha256:task"


def test_a_build_is_cancelled_while_its_context_is_sent(
    engine: DockerEngine, api: FakeDockerApi
) -> None:
    api.streams, cancellation = [[{"aux": {"ID": "sha256:task"}}]], Cancellation()

    def members() -> Iterator[Member]:
        yield from files({"Dockerfile": b"FROM scratch"})
        cancellation.request()

    with pytest.raises(Cancelled), cancellable.under(cancellation):
        engine.build(members(), NAME, architecture="x86_64", arguments={}, labels={})
    assert api.requests == []
