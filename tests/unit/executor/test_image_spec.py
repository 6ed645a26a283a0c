"""The service: the spec of a task's image, and sharing of services."""

from __future__ import annotations

from typing import Any

import pytest

from covalent_lambda_container.covalent_api.task import Task
from covalent_lambda_container.covalent_api.transport import Origin
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.executor.image_spec import image_spec
from covalent_lambda_container.executor.wiring import service_for
from covalent_lambda_container.images.dockerfile import recipe_digest
from covalent_lambda_container.model.specs import ImageSpec
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.requirements import Requirements


def image_of(options: dict[str, Any] | None = None, **changes: Any) -> ImageSpec:
    """Return what the image of a task must contain."""
    usual: dict[str, Any] = {
        "payload": {},
        "requirements": Requirements(),
        "python_version": "3.11",
        "cloudpickle_version": "3.1.0",
        "payload_bytes": 0,
    }
    return image_spec(Options.check(options or {}), Task(**usual | changes))


def test_a_plain_task_gets_awss_image_of_its_python() -> None:
    assert image_of(python_version="3.12") == ImageSpec(
        python_version="3.12",
        architecture="x86_64",
        base_image="public.ecr.aws/lambda/python:3.12",
        requirements=(),
        cloudpickle_version="3.1.0",
        recipe=recipe_digest(),
    )


def test_another_root_and_processor_are_the_executors_choice() -> None:
    image = image_of({"base_image": "registry.example.com/python", "architecture": "arm64"})
    assert (image.base_image, image.architecture) == ("registry.example.com/python", "arm64")


def test_requirements_of_executor_task_and_arguments_come_together() -> None:
    image = image_of(
        {"requirements": ["Foo_Bar == 1", "numpy>=2"]},
        requirements=Requirements(packages=("numpy>=2", "scipy==1.14")),
        origins=frozenset({Origin(requirements=("pandas==2.2", "scipy==1.13"), image="0f")}),
    )
    assert image.requirements == ("foo-bar==1", "numpy>=2", "pandas==2.2", "scipy==1.14")


def test_options_of_pip_and_constraints_are_part_of_the_image() -> None:
    image = image_of(
        {"requirements": ["--only-binary :all:"], "constraints": ["numpy<2"]},
        requirements=Requirements(constraints=("scipy<2",), options=("--no-binary foo",)),
    )
    assert image.install_options == ("--no-binary foo", "--only-binary :all:")
    assert image.constraints == ("numpy<2", "scipy<2")
    assert image.tag != image_of().tag


def test_data_made_in_the_same_image_asks_for_no_other() -> None:
    wanted = Requirements(packages=("scikit-learn==1.7.2",))
    own = image_of(requirements=wanted)
    here = Origin(requirements=("numpy==2.2.6",), image=own.tag)
    elsewhere = Origin(requirements=("pandas==2.2",), image="0f")
    assert image_of(requirements=wanted, origins=frozenset({here})) == own
    both = image_of(requirements=wanted, origins=frozenset({here, elsewhere}))
    assert both.requirements == ("numpy==2.2.6", "pandas==2.2", "scikit-learn==1.7.2")


def test_covalent_is_in_the_image_of_a_task_that_needs_it() -> None:
    assert image_of().covalent_version == ""
    assert image_of(covalent_version="0.240.0").covalent_version == "0.240.0"


def test_commands_are_part_of_the_image_or_of_the_task() -> None:
    commands = ("apt-get install -y graphviz",)
    assert image_of(commands=commands).commands == commands
    assert image_of({"bash_deps": "runtime"}, commands=commands).commands == ()


@pytest.mark.parametrize(
    "options",
    [{"timeout": 61}, {"memory_size": 1024}, {"environment": {"MODE": "fast"}}, {"cleanup": False}],
)
def test_a_functions_configuration_makes_no_other_image(options: dict[str, Any]) -> None:
    assert image_of(options) == image_of()


def test_equal_options_share_a_service() -> None:
    options = {"environment": {"A1": "1", "B2": "2"}, "timeout": 33}
    assert service_for(Options.check(options)) is service_for(Options.check(options))
    assert service_for(Options.check(options)) is not service_for(Options.check({"timeout": 34}))


def test_all_tasks_of_a_dispatch_share_its_sign_whatever_their_options() -> None:
    one, other = (service_for(Options.check({"timeout": each})) for each in (35, 36))
    elsewhere = service_for(Options.check({"s3_bucket_name": "another-bucket"}))
    assert one._invoker is other._invoker
    assert one._invoker is not elsewhere._invoker


def test_a_ca_bundle_that_does_not_exist_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"option ca_bundle='/nowhere\.pem': there is no"):
        service_for(Options.check({"ca_bundle": "/nowhere.pem"}))
