"""Provisioning: existing things are found, missing ones created, and nothing is created twice."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from covalent_lambda_container.errors import (
    ConfigurationError,
    ImageBuildError,
    ProvisionError,
    RegistryError,
    UnusableImage,
)
from covalent_lambda_container.functions.provisioner import Provisioner
from covalent_lambda_container.ports.functions import (
    ACTIVE,
    FAILED,
    INACTIVE,
    PENDING,
    FunctionState,
)
from tests.fakes import FakeFunctions, FakeImageBuilder, FakeRegistry
from tests.fakes.examples import function_spec, image_spec
from tests.fakes.images import DOCKER_MANIFEST

INDEX = "application/vnd.oci.image.index.v1+json"


SPEC = image_spec()


FUNCTION = function_spec()


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def builder(registry: FakeRegistry) -> FakeImageBuilder:
    return FakeImageBuilder(registry)


@pytest.fixture
def functions() -> FakeFunctions:
    return FakeFunctions()


@pytest.fixture
def provisioner(
    builder: FakeImageBuilder, registry: FakeRegistry, functions: FakeFunctions, tmp_path: Path
) -> Provisioner:
    return Provisioner(
        builder=builder, registry=registry, functions=functions, lock_directory=tmp_path / "locks"
    )


class ClosedRegistry(FakeRegistry):
    """One whose repository this identity may not look at."""

    def ensure_repository(self) -> str:
        raise RegistryError(
            "Could not find or create ECR repository 'r': AWS answered AccessDenied: no"
        )


def test_an_identity_that_may_not_build_is_shown_how_to_get_an_image(
    functions: FakeFunctions, tmp_path: Path
) -> None:
    registry = ClosedRegistry()
    builder = FakeImageBuilder(registry)
    provisioner = Provisioner(
        builder=builder, registry=registry, functions=functions, lock_directory=tmp_path
    )
    said = f"{SPEC.tag}(.|\n)*AWS answered AccessDenied: no\n(.|\n)*covalent-lambda prebuild"
    with pytest.raises(RegistryError, match=said):
        provisioner.ensure_image(SPEC)
    assert builder.builds == []


def test_a_folder_that_cannot_be_written_to_is_named_with_its_option(
    builder: FakeImageBuilder, registry: FakeRegistry, functions: FakeFunctions, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "locks"
    provisioner = Provisioner(
        builder=builder, registry=registry, functions=functions, lock_directory=folder
    )
    with pytest.raises(
        ConfigurationError, match=rf"{folder} cannot be written to: (.|\n)*cache_dir"
    ):
        provisioner.ensure_image(image_spec())


def test_no_lock_file_remains(provisioner: Provisioner, tmp_path: Path) -> None:
    provisioner.ensure_image(image_spec())
    assert list((tmp_path / "locks").iterdir()) == []


def test_an_absent_image_is_built_and_pushed_once(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    image = provisioner.ensure_image(SPEC)
    assert provisioner.ensure_image(SPEC) == image == registry.find(SPEC.tag)
    assert builder.builds == builder.pushes == [f"{registry.uri}:{SPEC.tag}"]


def test_a_present_image_needs_no_engine(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    registry.ensure_repository()
    digest = registry.accept(SPEC.tag, "made by CI")
    builder.failures.append(ImageBuildError("there is no engine here"))
    assert provisioner.ensure_image(SPEC).digest == digest
    assert builder.builds == []


def test_another_spec_is_another_image(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    images = {provisioner.ensure_image(image_spec(python_version=v)) for v in ("3.11", "3.12")}
    assert len(images) == len(registry.tags) == len(builder.pushes) == 2


def test_a_race_lost_on_an_immutable_tag_takes_the_others_image(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    builder.while_building = lambda: registry.accept(SPEC.tag, "another machine was faster")
    image = provisioner.ensure_image(SPEC)
    assert builder.pushes == []
    assert image == registry.find(SPEC.tag)


def test_a_push_that_is_refused_for_another_reason_is_an_error(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    builder.while_building = lambda: setattr(registry, "repository_exists", False)
    with pytest.raises(RegistryError, match="no such repository"):
        provisioner.ensure_image(SPEC)


def test_a_push_that_left_no_image_is_an_error(
    provisioner: Provisioner, registry: FakeRegistry
) -> None:
    registry.forgetful = True
    with pytest.raises(RegistryError, match="was pushed, but ECR does not list it"):
        provisioner.ensure_image(SPEC)


def test_an_image_that_came_during_the_build_is_not_pushed_over(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    registry.tags_move = True
    builder.while_building = lambda: registry.accept(SPEC.tag, "another machine was faster")
    theirs = provisioner.ensure_image(SPEC)
    assert theirs == registry.find(SPEC.tag)
    assert builder.pushes == []


def test_a_pushed_index_is_removed_and_reported(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    builder.media_type = INDEX
    with pytest.raises(UnusableImage, match=r"removed from there(.|\n)*containerd-snapshotter"):
        provisioner.ensure_image(SPEC)
    assert registry.tags == set()
    builder.media_type = DOCKER_MANIFEST
    assert provisioner.ensure_image(SPEC) == registry.find(SPEC.tag)


def test_an_index_that_may_not_be_removed_is_reported(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    builder.media_type = INDEX
    registry.keeps_all = True
    with pytest.raises(UnusableImage, match=r"is still there: (.|\n)*containerd-snapshotter"):
        provisioner.ensure_image(SPEC)


def test_an_image_is_rebuilt_once_and_found_by_all(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    first = provisioner.ensure_image(SPEC)
    second = provisioner.ensure_image(SPEC, rebuild=True)
    assert second == registry.find(SPEC.tag) != first
    assert provisioner.ensure_image(SPEC, rebuild=True) == provisioner.ensure_image(SPEC) == second
    assert registry.tags == {SPEC.tag, f"{SPEC.tag}-r1"}
    assert len(builder.builds) == 2


def test_an_image_that_does_not_exist_yet_is_created_once(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    provisioner.ensure_image(SPEC, rebuild=True)
    assert registry.tags == {SPEC.tag}
    assert len(builder.builds) == 1


def test_an_image_that_is_missing_again_is_not_rebuilt_without_need(
    provisioner: Provisioner, builder: FakeImageBuilder
) -> None:
    provisioner.ensure_image(SPEC, rebuild=True)
    provisioner.forget(SPEC, FUNCTION)
    provisioner.ensure_image(SPEC, rebuild=True)
    assert len(builder.builds) == 1


def test_a_failed_rebuild_is_retried_and_leaves_the_old_image(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    first = provisioner.ensure_image(SPEC)
    builder.failures.append(ImageBuildError("no such version any more"))
    with pytest.raises(ImageBuildError):
        provisioner.ensure_image(SPEC, rebuild=True)
    assert registry.find(SPEC.tag) == provisioner.ensure_image(SPEC) == first
    assert provisioner.ensure_image(SPEC, rebuild=True) != first


def test_a_rebuild_that_is_refused_does_not_pass_the_old_image_off_as_new(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    provisioner.ensure_image(SPEC)
    builder.while_building = lambda: setattr(registry, "repository_exists", False)
    with pytest.raises(RegistryError, match="no such repository"):
        provisioner.ensure_image(SPEC, rebuild=True)


def test_two_rebuilds_at_once_end_with_one_image(
    provisioner: Provisioner, builder: FakeImageBuilder, registry: FakeRegistry
) -> None:
    first = provisioner.ensure_image(SPEC)
    builder.while_building = lambda: registry.accept(f"{SPEC.tag}-r1", "rebuilt elsewhere")
    assert provisioner.ensure_image(SPEC, rebuild=True) == registry.find(SPEC.tag) != first
    assert registry.tags == {SPEC.tag, f"{SPEC.tag}-r1"}


def test_an_index_is_replaced_by_a_rebuild(
    provisioner: Provisioner, registry: FakeRegistry
) -> None:
    registry.ensure_repository()
    registry.accept(SPEC.tag, "made elsewhere", INDEX)
    with pytest.raises(UnusableImage):
        provisioner.ensure_image(SPEC)
    assert provisioner.ensure_image(SPEC, rebuild=True) == registry.find(SPEC.tag)


def test_a_failed_build_is_retried_by_the_next_task(
    provisioner: Provisioner, builder: FakeImageBuilder
) -> None:
    builder.failures.append(ImageBuildError("no space left on device"))
    with pytest.raises(ImageBuildError, match="no space"):
        provisioner.ensure_image(SPEC)
    provisioner.ensure_image(SPEC)
    assert len(builder.builds) == 1


def test_tasks_of_one_process_build_an_image_once(
    provisioner: Provisioner, builder: FakeImageBuilder
) -> None:
    start = threading.Barrier(20, timeout=10)

    def ensure(_: int) -> str:
        start.wait()
        return provisioner.ensure_image(SPEC).uri

    with ThreadPoolExecutor(20) as threads:
        assert len(set(threads.map(ensure, range(20)))) == 1
    assert len(builder.builds) == 1


def test_two_dispatchers_of_one_machine_build_an_image_once(
    registry: FakeRegistry, functions: FakeFunctions, tmp_path: Path
) -> None:
    start = threading.Barrier(2, timeout=10)
    builders = [FakeImageBuilder(registry) for _ in range(2)]

    def ensure(builder: FakeImageBuilder) -> str:
        own = Provisioner(
            builder=builder, registry=registry, functions=functions, lock_directory=tmp_path
        )
        start.wait()
        return own.ensure_image(SPEC).uri

    with ThreadPoolExecutor(2) as threads:
        assert len(set(threads.map(ensure, builders))) == 1
    assert sum(len(builder.builds) for builder in builders) == 1


def test_a_build_does_not_hold_up_another(
    provisioner: Provisioner, builder: FakeImageBuilder
) -> None:
    both_build = threading.Barrier(2, timeout=10)
    builder.while_building = both_build.wait
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(provisioner.ensure_image, [SPEC, image_spec(python_version="3.12")]))
    assert len(builder.builds) == 2


def test_an_absent_function_is_created_and_waited_for(
    provisioner: Provisioner, functions: FakeFunctions
) -> None:
    name = provisioner.ensure_function(FUNCTION)
    assert name == FUNCTION.name
    assert functions.created == [FUNCTION]
    assert functions.states[name].state == ACTIVE


@pytest.mark.parametrize("state", [ACTIVE, INACTIVE, PENDING])
def test_a_present_function_is_not_created(
    provisioner: Provisioner, functions: FakeFunctions, state: str
) -> None:
    functions.states[FUNCTION.name] = FunctionState(state=state)
    assert provisioner.ensure_function(FUNCTION) == FUNCTION.name
    assert functions.created == []
    assert functions.states[FUNCTION.name].state == (ACTIVE if state == PENDING else state)


@pytest.mark.parametrize("state", [FAILED, PENDING])
def test_a_failed_function_is_deleted_and_made_once_more(
    provisioner: Provisioner, functions: FakeFunctions, state: str
) -> None:
    functions.states[FUNCTION.name] = FunctionState(state=state, reason="image was deleted")
    if state == PENDING:
        functions.fail_next_creations("image was deleted")
    provisioner.ensure_function(FUNCTION)
    assert functions.deleted == [FUNCTION.name]
    assert functions.created == [FUNCTION]
    assert functions.states[FUNCTION.name].state == ACTIVE


def test_a_function_that_fails_twice_is_an_error_with_lambdas_reason(
    provisioner: Provisioner, functions: FakeFunctions
) -> None:
    functions.fail_next_creations("InvalidImage", "InvalidImage: CodeArtifactUser")
    with pytest.raises(ProvisionError, match=rf"{FUNCTION.name} could not be created: .*Artifact"):
        provisioner.ensure_function(FUNCTION)
    assert len(functions.created) == 2


def test_a_function_is_looked_for_once(provisioner: Provisioner, functions: FakeFunctions) -> None:
    provisioner.ensure_function(FUNCTION)
    functions.states.clear()
    assert provisioner.ensure_function(FUNCTION) == FUNCTION.name
    assert functions.states == {}


def test_forgotten_functions_are_recreated(
    provisioner: Provisioner, functions: FakeFunctions, builder: FakeImageBuilder
) -> None:
    provisioner.ensure_image(SPEC)
    provisioner.ensure_function(FUNCTION)
    functions.states.clear()
    provisioner.forget(SPEC, FUNCTION)
    provisioner.ensure_image(SPEC)
    provisioner.ensure_function(FUNCTION)
    assert functions.created == [FUNCTION, FUNCTION]
    assert len(builder.builds) == 1, "the image is still in the registry"


def test_an_images_packages_are_read_once(provisioner: Provisioner, registry: FakeRegistry) -> None:
    provisioner.ensure_image(SPEC)
    registry.installed[SPEC.tag] = {"numpy==2.1.0": 1, "mine @ git+https://example.com/a@0a": 2}
    found = provisioner.installed(SPEC)
    assert found == {"numpy==2.1.0", "mine @ git+https://example.com/a@0a"}
    registry.installed.clear()
    assert provisioner.installed(SPEC) == found


def test_an_image_that_cannot_be_read_is_asked_again(
    provisioner: Provisioner, registry: FakeRegistry
) -> None:
    with pytest.raises(RegistryError):
        provisioner.installed(SPEC)
    provisioner.ensure_image(SPEC)
    assert provisioner.installed(SPEC) == frozenset()
