"""Workflows whose images are composed on the dispatcher's machine, without Docker."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import step_log
from covalent_lambda_container.local.covalent_server import covalent_server
from tests.e2e.conftest import AsInstalled, Dispatcher

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def dispatcher(
    options: dict[str, Any],
    root_in_registry: str,
    tmp_path_factory: pytest.TempPathFactory,
    as_installed: AsInstalled,
) -> Iterator[Dispatcher]:
    """A server that has neither Docker's client nor an engine's socket."""
    folder = tmp_path_factory.mktemp("covalent-without-docker")
    programs = folder / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    environment = {
        step_log.VARIABLE: str(folder / "journal"),
        "PATH": str(programs),
        "DOCKER_HOST": f"unix://{folder}/absent.sock",
    }
    executor = options | {
        "base_image": root_in_registry,
        "builder": "registry",
        "cache_dir": str(folder / "cache"),
    }
    executors = {"awslambda_container": executor}
    with contextlib.ExitStack() as running:
        with as_installed():
            server = running.enter_context(
                covalent_server(folder / "server", environment, print, executors=executors)
            )
        yield Dispatcher(server, folder / "journal")


def test_iris_runs(dispatcher: Dispatcher):
    printed = dispatcher.run(EXAMPLES / "iris_svm.py")
    accuracy = re.search(r"COMPLETED accuracy=([0-9.]+)", printed)
    assert accuracy is not None
    assert 0.9 < float(accuracy[1]) <= 1
    assert dispatcher.steps("image.push")


def test_a_sublattice_and_the_post_processing_have_covalents_sdk(dispatcher: Dispatcher):
    outcome = dispatcher.outcome("covalent_inside.py")
    assert outcome["status"] == "COMPLETED", outcome["nodes"]
    assert outcome["result"] == [20, 10, {"answer": 40}]


def test_electrons_with_different_deps_get_different_images(dispatcher: Dispatcher):
    outcome = dispatcher.outcome("different_deps.py")
    assert outcome["result"] == [["1,234,567", True], ["octopi", True]]


def test_objects_the_dispatcher_cannot_unpickle_pass_between_electrons(dispatcher: Dispatcher):
    assert dispatcher.outcome("foreign_type.py")["result"] == ["pvectorc", 45]


def test_outputs_and_inputs_over_6_mb_pass_through_s3(dispatcher: Dispatcher):
    assert dispatcher.outcome("large.py")["result"] == [10_000_128, True]


def test_hooks_run_in_the_handler(dispatcher: Dispatcher):
    notes = ["a, 3.0 million.", "b, 3.0 million!"]
    assert dispatcher.outcome("hooks.py")["result"] == ["mouse", notes, "c, 3.0 million."]


def test_a_command_at_build_fails_with_the_ways_out(dispatcher: Dispatcher):
    nodes = dispatcher.outcome("bash.py")["nodes"]
    error = nodes["from_build"]["error"]
    assert "'mkdir -p /opt/made'" in error
    assert "bash_deps='runtime'" in error
