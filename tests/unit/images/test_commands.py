"""Which command of DepsBash failed, and what helps."""

from __future__ import annotations

import pytest

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.images.commands import explained
from tests.fakes.examples import image_spec

SPEC = image_spec(commands=("true", "python3 -m nltk.downloader x"), late_commands=("late",))
DOCKER = (
    "Build of an intermediate image failed: The command '/bin/sh -c sh "
    "/opt/covalent-lambda/run-command.sh {} && rm -f /x' returned a non-zero code: 7\n"
)


def failure(message: str) -> ImageBuildError:
    with pytest.raises(ImageBuildError) as caught, explained(SPEC):
        raise ImageBuildError(message)
    return caught.value


def test_the_command_comes_before_its_output() -> None:
    error = failure(DOCKER.format("before-002.sh") + "/usr/bin/python3: No module named nltk")
    assert error.message == (
        "DepsBash: the command 'python3 -m nltk.downloader x' ended with status 7.\n"
        "/usr/bin/python3: No module named nltk"
    )
    assert "bash_deps='after_packages'" in str(error.hint)


def test_a_late_command_needs_no_advice_to_run_late() -> None:
    error = failure(DOCKER.format("after-001.sh") + "No module named nltk")
    assert error.message.startswith("DepsBash: the command 'late' ended with status 7.")
    assert error.hint is None


@pytest.mark.parametrize("message", ["another error", DOCKER.format("after-002.sh")])
def test_other_errors_stay(message: str) -> None:
    assert failure(message).message == message
