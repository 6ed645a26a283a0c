"""The whole way of a workflow on this machine: ``python -m covalent_lambda_container.local.demo``.

Starts what is missing, dispatches a workflow twice through a real Covalent server, shows what each
step took, and stops what it started.
"""

from __future__ import annotations

import contextlib
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click
import docker
from rich.console import Console
from rich.table import Table

from covalent_lambda_container import journal
from covalent_lambda_container.errors import LambdaContainerError, LocalStackError
from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server
from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.stack import LocalStack, local_stack

_ACCURACY: Final = re.compile(r"accuracy=([0-9.]+)")
_STEP_NAMES: Final = {
    "image.install": "install its packages",
    "image.build": "build the image",
    "image.push": "push it to ECR",
    "function.create": "create the function",
    "task.invoke": "run a task",
}


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """One dispatch of the workflow.

    Parameters
    ----------
    accuracy
        What the workflow printed.
    seconds
        From the client's start to its end.
    steps
        What the executor recorded meanwhile: see `covalent_lambda_container.journal`.
    """

    accuracy: float
    seconds: float
    steps: list[dict[str, Any]]

    def named(self, step: str) -> list[dict[str, Any]]:
        """Return the steps of one name."""
        return [record for record in self.steps if record["step"] == step]


@click.command()
@click.argument("workflow", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(workflow: Path) -> None:
    """Dispatch WORKFLOW twice on a local stack."""
    console = Console(highlight=False, soft_wrap=True)
    # Terminated is interrupted: everything that was started is stopped.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with tempfile.TemporaryDirectory(prefix="covalent-lambda-demo-") as folder:
            run(workflow, Path(folder), console)
    except LambdaContainerError as exc:
        console.print(f"demo: failed: {exc}", markup=False)
        raise SystemExit(exc.exit_code) from None
    except KeyboardInterrupt:
        console.print("demo: interrupted; everything it started was stopped")
        raise SystemExit(130) from None


def run(workflow: Path, folder: Path, console: Console) -> None:
    """Run the demo in a scratch folder."""
    started = time.monotonic()

    def report(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - started:6.1f} s[/dim]  ", end="")
        console.print(line, markup=False)

    if _importable("sklearn"):
        report("scikit-learn is installed here as well; the electrons use the one in their image.")
    with docker_engine(report):
        with contextlib.closing(docker.from_env()) as client:
            version = ".".join(platform.python_version_tuple()[:2])
            root_image = ensure_root_image(client, version, report)
        report(f"Root image: {root_image}")
        with local_stack(folder / "stack", report) as stack:
            journal_file = folder / "journal"
            with _server(folder, stack, root_image, journal_file, report) as server:
                first = _dispatch(workflow, server, journal_file, report)
                second = _dispatch(workflow, server, journal_file, report)
    _show(console, first, second)


@contextmanager
def _server(
    folder: Path,
    stack: LocalStack,
    root_image: str,
    journal_file: Path,
    report: Callable[[str], None],
) -> Iterator[CovalentServer]:
    options = {
        "endpoint_url": stack.endpoint_url,
        "region": stack.region,
        "credentials_file": str(stack.credentials_file),
        "profile": stack.profile,
        "base_image": root_image,
        "cache_dir": str(folder / "cache"),
    }
    environment = {journal.VARIABLE: str(journal_file)}
    with covalent_server(
        folder / "covalent", environment, report, executors={"awslambda_container": options}
    ) as server:
        yield server


def _dispatch(
    workflow: Path, server: CovalentServer, journal_file: Path, report: Callable[[str], None]
) -> Dispatch:
    report(f"Dispatching {workflow}")
    before = len(journal.read(journal_file))
    started = time.monotonic()
    with _steps_reported(journal_file, before, report):
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
        accuracy=float(accuracy[1]), seconds=seconds, steps=journal.read(journal_file)[before:]
    )


@contextmanager
def _steps_reported(
    journal_file: Path, before: int, report: Callable[[str], None]
) -> Iterator[None]:
    """Report each of the executor's steps as it is recorded."""
    ended = threading.Event()

    def follow() -> None:
        seen = before
        while True:
            last = ended.wait(0.2)
            for record in journal.read(journal_file)[seen:]:
                seen += 1
                cold = " (cold)" if record.get("cold") else ""
                name = _STEP_NAMES.get(record["step"], record["step"])
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


def _show(console: Console, first: Dispatch, second: Dispatch) -> None:
    table = Table(title="What each step took, in seconds", title_justify="left")
    table.add_column("step")
    table.add_column("first dispatch", justify="right")
    table.add_column("second dispatch", justify="right")
    for step, name in _STEP_NAMES.items():
        if step != "task.invoke":
            table.add_row(name, _seconds(first.named(step)), _seconds(second.named(step)))
    cold, warm = [True, False]
    table.add_row("first invocation", _seconds(_runs(first, cold)), _seconds(_runs(second, cold)))
    table.add_row("warm invocations", _seconds(_runs(first, warm)), _seconds(_runs(second, warm)))
    table.add_row("the whole dispatch", f"{first.seconds:.1f}", f"{second.seconds:.1f}")
    console.print(table)
    image = first.named("image.push")[0]
    console.print(f"Image: {image['subject']}", markup=False)
    warm_ms = statistics.median(record["seconds"] for record in _runs(second, warm)) * 1000
    console.print(
        f"demo: ok accuracy={second.accuracy:.3f} builds={len(first.named('image.build'))} "
        f"second_dispatch_builds={len(second.named('image.build'))} warm_ms={warm_ms:.0f}",
        markup=False,
    )


def _runs(dispatch: Dispatch, cold: bool) -> list[dict[str, Any]]:
    return [run for run in dispatch.named("task.invoke") if run["cold"] is cold]


def _seconds(records: list[dict[str, Any]]) -> str:
    return "  ".join(f"{record['seconds']:.2f}" for record in records) or "–"


def _importable(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


def _interrupt(signal_number: int, frame: Any) -> None:  # noqa: ARG001
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
