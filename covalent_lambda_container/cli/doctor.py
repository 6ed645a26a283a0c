"""``covalent-lambda doctor``: what would keep electrons from running."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.findings import (
    documents,
    finding_lines,
    problems,
    report_findings,
)
from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options
from covalent_lambda_container.cli.wiring import wiring

if TYPE_CHECKING:
    from covalent_lambda_container.doctor.trial import TrialStep
    from covalent_lambda_container.options.schema import Options

_HARMLESS: Final = frozenset({"Covalent server", "Docker disk", "configuration"})
"""Checks whose problems do not keep a task from running."""


@command()
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for answers.",
)
@click.option(
    "--run",
    is_flag=True,
    help="Then send a small task through the whole path and remove what was created; costs less "
    "than a cent.",
)
@executor_options(
    *("s3_bucket_name", "ecr_repository", "lambda_role_name", "base_image", "architecture"),
    *ACCOUNT,
)
@reporting
@click.pass_context
def doctor(
    context: click.Context, timeout_s: float, run: bool, given: dict[str, Any], output: Output
) -> None:
    """Find what would keep electrons from running.

    Checks Docker, the AWS account and Covalent at once, and says how to fix each problem. The exit
    code is 1 if there is a problem; what this identity is not allowed to see is not one.

    With --run, two tasks are then run as Covalent would run them: an image is built and pushed, a
    function is created and invoked, 7 MB pass through S3, and image and function are removed.

    \b
    Example:
      covalent-lambda doctor
      covalent-lambda doctor --run
    """
    from covalent_lambda_container.doctor.diagnosis import diagnose
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    findings = diagnose(options, timeout_s=timeout_s)
    if not run:
        report_findings(findings, output)
    elif not output.as_json:
        output.result(None, *finding_lines(findings, output), "")
    if run and not problems(findings) - _HARMLESS:
        _run(options, documents(findings), output)
    elif run:
        output.error("The trial was not run: solve the problems first.")
    if problems(findings):
        context.exit(1)


def _run(options: Options, findings: list[dict[str, Any]], output: Output) -> None:
    """Send a task through the whole path, and show what each step took."""
    from covalent_lambda_container.doctor.trial import Trial

    parts = wiring()
    trial = Trial(
        options,
        parts.service_for,
        parts.account_stores_for(options),
        parts.local_build_stores_for(options),
    )
    output.note(
        "Running a small task, and one of 7 MB, on a function of their own. At list prices this "
        "costs less than a cent: two invocations, a few requests, and the storage of one image "
        "until it is removed."
    )
    rows: list[TrialStep] = []
    with output.steps() as begin:
        step = begin("trial")
        try:
            rows.extend(trial.run(step.report))
        except BaseException:
            step.end("failed")
            raise
        step.end("done")
    output.table(
        {
            "findings": findings,
            "run": [dataclasses.asdict(each) for each in rows],
            "cost_usd": trial.cost_usd,
        },
        ("step", "seconds", "detail"),
        [[each.name, f"{each.seconds:.2f}", each.detail] for each in rows],
    )
    if trial.cost_usd:
        output.note(f"The invocations cost about ${trial.cost_usd:.6f} at list prices.")
