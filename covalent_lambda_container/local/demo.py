"""Runs a workflow from dispatch to result on this machine.

Starts the local stack, dispatches a workflow through a real Covalent server, twice with images that
Docker builds and once with images composed without it, and stops everything that it started.
"""

from __future__ import annotations

import contextlib
import platform
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from covalent_lambda_container import step_log
from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.errors import LocalStackError
from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server
from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.root_repository import push_root_image
from covalent_lambda_container.local.stack import local_stack
from covalent_lambda_container.model.names import SHORT_NAME

_ACCURACY: Final = re.compile(r"accuracy=([0-9.]+)")
STEP_NAMES: Final = {
    "image.install": "install its packages",
    "image.build": "build the image",
    "image.push": "push it to ECR",
    "function.create": "create the function",
    "task.invoke": "run a task",
}
"""The executor's recorded steps, in words."""


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """One dispatch of the workflow.

    Parameters
    ----------
    accuracy
        The accuracy that the workflow printed.
    seconds
        Time from the client's start to its end.
    steps
        The executor's steps meanwhile: see `covalent_lambda_container.step_log`.
    """

    accuracy: float
    seconds: float
    steps: list[dict[str, Any]]

    def named(self, step: str) -> list[dict[str, Any]]:
        """Return the steps with a name."""
        return [record for record in self.steps if record["step"] == step]


def example() -> Path:
    """Return the default workflow."""
    name = Path("examples") / "iris_svm.py"
    # A wheel has it inside the package, a checkout at its root.
    packaged = Path(__file__).parents[1] / name
    return packaged if packaged.exists() else Path(__file__).parents[2] / name


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """The dispatches of a demonstration.

    Parameters
    ----------
    first, second
        With images that Docker builds: from scratch, and with the results of the first.
    without_docker
        From scratch, with images composed without Docker (``builder="registry"``).
    """

    first: Dispatch
    second: Dispatch
    without_docker: Dispatch


def demonstrate(workflow: Path, report: Callable[[str], None]) -> Demonstration:
    """Start the stack, dispatch a workflow in both ways, and stop everything that was started.

    Parameters
    ----------
    workflow
        Script that dispatches, and prints ``accuracy=NUMBER``.
    report
        Called with one line on each step.
    """
    if _importable("sklearn"):
        report("scikit-learn is installed here as well; the electrons use the one in their image.")
    with (
        tempfile.TemporaryDirectory(prefix="covalent-lambda-demo-") as scratch,
        docker_engine(report),
    ):
        folder = Path(scratch)
        with contextlib.closing(connect()) as client:
            version = ".".join(platform.python_version_tuple()[:2])
            root_image = ensure_root_image(client, version, report)
        report(f"Root image: {root_image}")
        with local_stack(folder / "stack", report) as stack:
            options = stack.executor_options(root_image)
            step_file = folder / "steps.jsonl"
            with _server(folder / "docker", options, step_file, report) as server:
                first = _dispatch(workflow, server, step_file, report)
                second = _dispatch(workflow, server, step_file, report)
            report("The same without Docker: the image is composed here and uploaded")
            in_registry = {"base_image": push_root_image(stack, root_image), "builder": "registry"}
            step_file = folder / "steps-without-docker.jsonl"
            with _server(folder / "registry", options | in_registry, step_file, report) as server:
                without_docker = _dispatch(workflow, server, step_file, report)
    return Demonstration(first=first, second=second, without_docker=without_docker)


@contextmanager
def _server(
    folder: Path,
    options: Mapping[str, Any],
    step_file: Path,
    report: Callable[[str], None],
) -> Iterator[CovalentServer]:
    options = {**options, "cache_dir": str(folder / "cache")}
    environment = {step_log.VARIABLE: str(step_file)}
    with covalent_server(
        folder / "covalent", environment, report, executors={SHORT_NAME: options}
    ) as server:
        yield server


def _dispatch(
    workflow: Path, server: CovalentServer, step_file: Path, report: Callable[[str], None]
) -> Dispatch:
    report(f"Dispatching {workflow}")
    before = len(step_log.read(step_file))
    started = time.monotonic()
    with _steps_reported(step_file, before, report):
        client = subprocess.run(
            [sys.executable, str(workflow)],
            env=dict(server.environment),
            capture_output=True,
            text=True,
            check=False,
        )
    seconds = time.monotonic() - started
    report(client.stdout.strip() or client.stderr.strip())
    accuracy = _ACCURACY.search(client.stdout)
    if client.returncode or accuracy is None:
        raise LocalStackError(
            f"{workflow} ended with status {client.returncode}:\n{client.stdout}{client.stderr}"
        )
    return Dispatch(
        accuracy=float(accuracy[1]), seconds=seconds, steps=step_log.read(step_file)[before:]
    )


@contextmanager
def _steps_reported(step_file: Path, before: int, report: Callable[[str], None]) -> Iterator[None]:
    """Report each of the executor's steps as it is recorded."""
    ended = threading.Event()

    def follow() -> None:
        seen = before
        while True:
            last = ended.wait(0.2)
            for record in step_log.read(step_file)[seen:]:
                seen += 1
                cold = " (cold)" if record.get("cold") else ""
                name = STEP_NAMES.get(record["step"], record["step"])
                report(f"  {name}{cold}: {record['seconds']:.2f} s")
            if last:
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    try:
        yield
    finally:
        ended.set()
        follower.join()


def _importable(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None
