"""``covalent-lambda demo``: a workflow's whole path, on this machine."""

from __future__ import annotations

import statistics
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting

if TYPE_CHECKING:
    from covalent_lambda_container.local.demo import Demonstration, Dispatch


@command(short="Dispatch a workflow on a local stack, and show what it took.")
@click.argument(
    "workflow", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@reporting
def demo(workflow: Path | None, output: Output) -> None:
    """Dispatch a WORKFLOW on a local stack, twice with Docker and once without.

    Shows how long each step took. WORKFLOW is a script that dispatches and prints
    "accuracy=NUMBER"; the default trains a support vector machine on iris. Everything that is
    started is stopped at the end.

    \b
    Example:
      covalent-lambda demo
    """
    from covalent_lambda_container.local.demo import STEP_NAMES, demonstrate, example

    started = time.monotonic()
    shown = demonstrate(
        workflow or example(),
        lambda line: output.note(f"{time.monotonic() - started:6.1f} s  {line}"),
    )
    dispatches = (shown.first, shown.second, shown.without_docker)
    rows: list[tuple[str, ...]] = []
    for step, name in STEP_NAMES.items():
        if step == "task.invoke":
            continue
        row = [_seconds(each.named(step)) for each in dispatches]
        if step == "image.push":
            # Without Docker, layers are uploaded while others are composed.
            row[-1] = "in the build"
        rows.append((name, *row))
    for name, cold in (("first invocation", True), ("warm invocation", False)):
        rows.append((name, *(_median(_runs(each, cold)) for each in dispatches)))
    rows.append(("the whole dispatch", *(f"{each.seconds:.1f}" for each in dispatches)))
    document = [asdict(each) for each in dispatches]
    output.table(document, ["seconds", "first dispatch", "second dispatch", "no Docker"], rows)
    if not output.as_json:
        _conclude(shown, output)


def _conclude(shown: Demonstration, output: Output) -> None:
    first, second = shown.first, shown.second
    output.note("Run your own workflows on it: covalent-lambda local up --configure")
    warm_ms = statistics.median(record["seconds"] for record in _runs(second, False)) * 1000
    output.result(
        None,
        f"demo: ok accuracy={second.accuracy:.3f} builds={len(first.named('image.build'))} "
        f"second_dispatch_builds={len(second.named('image.build'))} warm_ms={warm_ms:.0f} "
        f"first_result_s={first.seconds:.1f} "
        f"first_result_registry_s={shown.without_docker.seconds:.1f}",
    )


def _runs(dispatch: Dispatch, cold: bool) -> list[dict[str, Any]]:
    return [run for run in dispatch.named("task.invoke") if run["cold"] is cold]


def _seconds(records: list[dict[str, Any]]) -> str:
    return "  ".join(f"{record['seconds']:.2f}" for record in records) or "–"


def _median(runs: list[dict[str, Any]]) -> str:
    if not runs:
        return "–"
    seconds = f"{statistics.median(run['seconds'] for run in runs):.2f}"
    return seconds if len(runs) == 1 else f"{seconds} (median of {len(runs)})"
