"""``covalent-lambda demo``: the whole way of a workflow, on this machine."""

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
    from covalent_lambda_container.local.demo import Dispatch


@command()
@click.argument(
    "workflow", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@reporting
def demo(workflow: Path | None, output: Output) -> None:
    """Dispatch a WORKFLOW on a local stack, twice.

    Shows what each step took. The workflow is a script that dispatches and prints
    "accuracy=NUMBER"; without one, a support vector machine learns iris. Everything that is started
    is stopped.

    \b
    Example:
      covalent-lambda demo
    """
    from covalent_lambda_container.local.demo import STEP_NAMES, dispatch_twice, example

    started = time.monotonic()
    first, second = dispatch_twice(
        workflow or example(),
        lambda line: output.note(f"{time.monotonic() - started:6.1f} s  {line}"),
    )
    rows = [
        (name, _seconds(first.named(step)), _seconds(second.named(step)))
        for step, name in STEP_NAMES.items()
        if step != "task.invoke"
    ]
    for name, cold in (("first invocation", True), ("warm invocations", False)):
        rows.append((name, _seconds(_runs(first, cold)), _seconds(_runs(second, cold))))
    rows.append(("the whole dispatch", f"{first.seconds:.1f}", f"{second.seconds:.1f}"))
    document = [asdict(first), asdict(second)]
    output.table(document, ["seconds", "first dispatch", "second dispatch"], rows)
    if not output.as_json:
        _conclude(first, second, output)


def _conclude(first: Dispatch, second: Dispatch, output: Output) -> None:
    image = first.named("image.push")[0]
    warm_ms = statistics.median(record["seconds"] for record in _runs(second, False)) * 1000
    output.result(
        None,
        f"Image: {image['subject']}",
        f"demo: ok accuracy={second.accuracy:.3f} builds={len(first.named('image.build'))} "
        f"second_dispatch_builds={len(second.named('image.build'))} warm_ms={warm_ms:.0f}",
    )


def _runs(dispatch: Dispatch, cold: bool) -> list[dict[str, Any]]:
    return [run for run in dispatch.named("task.invoke") if run["cold"] is cold]


def _seconds(records: list[dict[str, Any]]) -> str:
    return "  ".join(f"{record['seconds']:.2f}" for record in records) or "–"
