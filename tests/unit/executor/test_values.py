"""What values bring along: the image that made them, or requirements with their options."""

from __future__ import annotations

import json
from typing import Any

import pytest

from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.covalent_api.transport import Origin
from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.values import other_versions, with_value_sources
from covalent_lambda_container.model.image_labels import ImageContents
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import Requirements

VENDOR = "--extra-index-url https://vendor.example.com/simple"
BUILT = "built @ git+https://example.com/built@0a1b"


class Images:
    """Images that are in a registry, as their labels describe them."""

    def __init__(self) -> None:
        self.contents: dict[str, ImageContents] = {}

    def add(self, spec: ImageSpec, *pins: str) -> str:
        packages = dict.fromkeys(pins, 1)
        self.contents[spec.tag] = ImageContents(spec=json.loads(spec.json), packages=packages)
        return spec.tag


def spec_of(
    images: Images | None = None,
    origins: tuple[Origin, ...] = (),
    options: dict[str, Any] | None = None,
    **task: Any,
) -> ImageSpec:
    usual: dict[str, Any] = {
        "payload": {},
        "requirements": Requirements(),
        "python_version": "3.11",
        "cloudpickle_version": "3.1.0",
        "payload_bytes": 0,
        "origins": frozenset(origins),
    }
    known = images.contents if images else {}
    return image_spec(Options.check(options or {}), Task(**usual | task), contents_of=known.get)


def torch_image(images: Images) -> tuple[ImageSpec, Origin]:
    """Return an image of a vendor's index and of commands, and a value made there."""
    wanted = Requirements(packages=("torch==2.3.0+cpu",), options=(VENDOR,))
    made = spec_of(requirements=wanted, commands=("apt-get install -y git",))
    tag = images.add(made, "torch==2.3.0+cpu", "numpy==2.1.0", BUILT)
    requirements = (BUILT, "torch==2.3.0+cpu")
    return made, Origin(requirements=requirements, image=tag, node="make (node 0)")


def test_a_task_that_names_nothing_takes_the_image_of_its_value() -> None:
    images = Images()
    made, value = torch_image(images)
    assert spec_of(images, (value,)) == made


def test_it_takes_its_root_too_unless_it_names_another() -> None:
    images = Images()
    made = spec_of(options={"base_image": "registry.example.com/python:1"})
    origin = Origin(requirements=("six==1.0",), image=images.add(made, "six==1.0"))
    assert spec_of(images, (origin,)).base_image == "registry.example.com/python:1"
    other = spec_of(images, (origin,), {"base_image": "registry.example.com/python:2"})
    assert other.base_image == "registry.example.com/python:2"
    assert other.requirements == ("six==1.0",)


def test_a_task_that_needs_covalent_has_it_in_that_image() -> None:
    images = Images()
    made, value = torch_image(images)
    taken = spec_of(images, (value,), covalent_version="0.240.0")
    assert (taken.covalent_version, taken.commands) == ("0.240.0", made.commands)


def test_a_task_whose_packages_are_there_takes_it_as_well() -> None:
    images = Images()
    made, value = torch_image(images)
    wanted = Requirements(packages=("torch==2.3.0+cpu",))
    assert spec_of(images, (value,), requirements=wanted) == made


def test_a_task_with_packages_of_its_own_gets_requirements_and_their_options() -> None:
    images = Images()
    _, value = torch_image(images)
    spec = spec_of(images, (value,), requirements=Requirements(packages=("humanize==4.11.0",)))
    assert spec.requirements == (BUILT, "humanize==4.11.0", "torch==2.3.0+cpu")
    assert spec.flexible == (BUILT, "torch==2.3.0+cpu")
    assert spec.install_options == (VENDOR,)
    assert spec.commands == ()


def test_the_image_of_one_value_serves_for_another_if_it_has_its_packages() -> None:
    images = Images()
    made, value = torch_image(images)
    small = images.add(
        spec_of(requirements=Requirements(packages=("numpy==2.1.0",))), "numpy==2.1.0"
    )
    array = Origin(requirements=("numpy==2.1.0",), image=small)
    assert spec_of(images, (array, value)) == made
    newer = Origin(requirements=("numpy==2.2.0",), image=small)
    assert "numpy==2.2.0" in spec_of(images, (newer, value)).requirements


def test_of_an_image_that_nobody_knows_only_requirements_come() -> None:
    _, value = torch_image(Images())
    assert spec_of(None, (value,)).requirements == (BUILT, "torch==2.3.0+cpu")


@pytest.mark.parametrize("spec", [{}, {"python_version": "3.11"}, {"requirements": None}])
def test_an_image_of_another_release_is_no_reason_to_fail(spec: dict[str, Any]) -> None:
    origin = Origin(requirements=("six==1.0",), image="0a")
    images = Images()
    images.contents["0a"] = ImageContents(spec=spec, packages={"six==1.0": 1})
    assert spec_of(images, (origin,)).requirements == ("six==1.0",)


def test_an_image_for_another_processor_is_not_taken() -> None:
    images = Images()
    _, value = torch_image(images)
    spec = spec_of(images, (value,), {"architecture": "arm64"})
    assert (spec.architecture, spec.commands) == ("arm64", ())


def test_an_error_names_the_node_whose_value_asked() -> None:
    images = Images()
    _, value = torch_image(images)
    spec = spec_of(images, (value,), requirements=Requirements(packages=("humanize==4.11.0",)))
    error = with_value_sources(
        RequirementsConflict("They contradict.", hint="Loosen."), spec, [value]
    )
    assert isinstance(error, RequirementsConflict)
    assert f"brought packages along: {BUILT}, torch==2.3.0+cpu from make (node 0)." in str(error)
    assert "Loosen." in str(error)


def test_an_error_of_the_tasks_own_packages_names_no_node() -> None:
    error = ImageBuildError("They contradict.")
    own = spec_of(requirements=Requirements(packages=("torch==2.3.0+cpu",)))
    value = Origin(requirements=("torch==2.3.0+cpu",), image="0a", node="make (node 0)")
    assert with_value_sources(error, own, [value]) is error


def test_versions_that_differ_are_named_with_their_node() -> None:
    value = Origin(requirements=("numpy==2.2.6", "six==1.0"), image="0a", node="make (node 0)")
    assert other_versions([value], ["numpy==1.26.4", "six==1.0"]) == (
        "the value from make (node 0) was made with numpy==2.2.6, and the image has numpy==1.26.4"
    )
    assert other_versions([value], ["numpy==2.2.6+cpu"]) == ""
