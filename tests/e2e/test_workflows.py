"""Ordinary Covalent workflows through a real server, registry and Lambda containers."""

from __future__ import annotations

import contextlib
import importlib.util
import re
from pathlib import Path
from typing import Any

import docker

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_iris_runs_with_a_package_that_nothing_here_has(dispatcher: Any, aws: Any, stack: Any):
    assert importlib.util.find_spec("sklearn") is None
    first = dispatcher.run(EXAMPLES / "iris_svm.py")
    built = len(dispatcher.steps("image.build"))
    second = dispatcher.run(EXAMPLES / "iris_svm.py")
    for printed in (first, second):
        accuracy = re.search(r"COMPLETED accuracy=([0-9.]+)", printed)
        assert accuracy is not None
        assert 0.9 < float(accuracy[1]) <= 1
    assert len(dispatcher.steps("image.build")) == built
    # The executor's default is to leave nothing of a task in the bucket.
    assert aws("s3").list_objects_v2(Bucket=stack.bucket).get("KeyCount", 0) == 0


def test_a_failing_electron_reports_why(dispatcher: Any):
    outcome = dispatcher.outcome("failing.py")
    node = outcome["nodes"]["divide"]
    assert outcome["status"] == "FAILED"
    assert node["status"] == "FAILED"
    assert node["error"] == "ZeroDivisionError: division by zero"
    assert node["stdout"] == "dividing 7\n"
    assert node["stderr"].startswith("Traceback (most recent call last):\n")
    *_, last, place, usage = node["stderr"].splitlines()
    assert place.startswith("Ran on function covalent-")
    assert last == "ZeroDivisionError: division by zero"
    assert "billed" in usage
    assert "covalent_lambda_runtime" not in node["stderr"]


def test_electrons_with_different_deps_get_different_images(dispatcher: Any):
    outcome = dispatcher.outcome("different_deps.py")
    assert outcome["result"] == [["1,234,567", True], ["octopi", True]]


def test_outputs_and_inputs_over_6_mb_pass_through_s3(dispatcher: Any, aws: Any, stack: Any):
    outcome = dispatcher.outcome("large.py")
    assert outcome["result"] == [10_000_128, True]
    assert aws("s3").list_objects_v2(Bucket=stack.bucket).get("KeyCount", 0) == 0


def test_objects_the_dispatcher_cannot_unpickle_pass_between_electrons(dispatcher: Any):
    assert importlib.util.find_spec("pyrsistent") is None
    outcome = dispatcher.outcome("foreign_type.py")
    assert outcome["result"] == ["pvectorc", 45]


def test_ten_electrons_of_one_spec_make_one_image_and_one_function(dispatcher: Any, stack: Any):
    names = ("image.build", "image.push", "function.create")
    before = [len(dispatcher.steps(name)) for name in names]
    with contextlib.closing(docker.from_env()) as client:
        images_before = len(client.images.list(f"{stack.endpoint_url[7:]}/{stack.repository}"))
        outcome = dispatcher.outcome("ten_at_once.py")
        images = len(client.images.list(f"{stack.endpoint_url[7:]}/{stack.repository}"))
    assert outcome["result"] == [["six", n] for n in range(10)]
    made = [len(dispatcher.steps(name)) - count for name, count in zip(names, before, strict=True)]
    assert made == [1, 1, 1]
    assert images - images_before == 1


def test_hooks_run_in_the_handler_in_covalents_order(dispatcher: Any):
    outcome = dispatcher.outcome("hooks.py")
    notes = ["a, 3.0 million.", "b, 3.0 million!"]
    assert outcome["result"] == ["mouse", notes, "c, 3.0 million."]
    assert outcome["nodes"]["work"]["stdout"] == "after\n"
