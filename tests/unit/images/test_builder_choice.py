"""The choice of an image's builder."""

from __future__ import annotations

import logging

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.images.builder_choice import DockerOrRegistry
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.ports.registry import RegistryLogin
from tests.fakes.examples import image_spec
from tests.fakes.images import FakeImageBuilder, FakeRegistry

SILENCE = ImageBuildError(
    "Docker could not look for an engine: permission denied", hint="Add the user to the group."
)
LOGIN = RegistryLogin(username="AWS", password="secret-of-the-registry")


@pytest.mark.parametrize("answers", [True, False])
def test_docker_builds_where_an_engine_answers(
    answers: bool, caplog: pytest.LogCaptureFixture
) -> None:
    registry = FakeRegistry()
    registry.ensure_repository()
    docker, without = FakeImageBuilder(registry), FakeImageBuilder(registry)
    choice = DockerOrRegistry(docker, without, lambda: None if answers else SILENCE)
    with caplog.at_level(logging.INFO):
        choice.build(image_spec(), f"{registry.uri}:tag")
        choice.push(f"{registry.uri}:tag", LOGIN)
    used, unused = (docker, without) if answers else (without, docker)
    assert (len(used.builds), len(used.pushes)) == (1, 1)
    assert (unused.builds, unused.pushes) == ([], [])
    lines = [line for line in caplog.messages if "No Docker engine answers" in line]
    assert len(lines) == (0 if answers else 1)
    assert all("permission denied" in line for line in lines)


def test_only_a_built_image_is_pushed() -> None:
    registry = FakeRegistry()
    builder = FakeImageBuilder(registry)
    with pytest.raises(ImageBuildError, match="was not built here"):
        DockerOrRegistry(builder, builder, lambda: None).push("absent:tag", LOGIN)


class Failing(FakeImageBuilder):
    """A builder that cannot read the root image."""

    def build(self, spec: ImageSpec, name: str, *, rebuild: bool = False) -> None:
        raise ImageBuildError("The root image could not be read.", hint="Log in to its registry.")


def test_a_failure_without_an_engine_says_first_that_there_is_none() -> None:
    registry = FakeRegistry()
    choice = DockerOrRegistry(FakeImageBuilder(registry), Failing(registry), lambda: SILENCE)
    with pytest.raises(ImageBuildError, match="No Docker engine answers") as caught:
        choice.build(image_spec(), f"{registry.uri}:tag")
    assert "The root image could not be read." in str(caught.value)
    assert "Docker could not look for an engine: permission denied" in str(caught.value)
    assert "Log in to its registry.\nAdd the user to the group" in str(caught.value)


def test_a_failure_of_the_engine_is_reported_unchanged() -> None:
    registry = FakeRegistry()
    choice = DockerOrRegistry(Failing(registry), FakeImageBuilder(registry), lambda: None)
    with pytest.raises(ImageBuildError, match=r"^The root image could not be read"):
        choice.build(image_spec(), f"{registry.uri}:tag")
