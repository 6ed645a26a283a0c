"""``covalent-lambda doctor``: what would keep electrons from running."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options, with_flags
from covalent_lambda_container.cli.wiring import wiring

if TYPE_CHECKING:
    from covalent_lambda_container.doctor.examination import Finding
    from covalent_lambda_container.doctor.trial import TrialStep
    from covalent_lambda_container.options.schema import Options

_STYLES: Final[dict[str, dict[str, Any]]] = {
    "ok": {"fg": "green"},
    "unknown": {"fg": "yellow"},
    "problem": {"fg": "red", "bold": True},
}
_NARROWEST: Final = 30
_HARMLESS: Final = frozenset({"Covalent server", "Docker disk", "configuration"})
"""What a task can run in spite of."""


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
    from covalent_lambda_container.doctor.examination import PROBLEM
    from covalent_lambda_container.options.resolve import resolve

    options = resolve(given)
    findings = diagnose(options, timeout_s=timeout_s)
    documents = [dataclasses.asdict(finding) for finding in findings]
    if not run:
        output.result(documents, *_lines(findings, output))
    elif not output.as_json:
        output.result(None, *_lines(findings, output), "")
    problems = {finding.name for finding in findings if finding.status == PROBLEM}
    if run and not problems - _HARMLESS:
        _run(options, documents, output)
    elif run:
        output.error("The trial was not run: solve the problems first.")
    if problems:
        context.exit(1)


def _run(options: Options, documents: list[dict[str, Any]], output: Output) -> None:
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
            "findings": documents,
            "run": [dataclasses.asdict(each) for each in rows],
            "cost_usd": trial.cost_usd,
        },
        ("step", "seconds", "detail"),
        [[each.name, f"{each.seconds:.2f}", each.detail] for each in rows],
    )
    if trial.cost_usd:
        output.note(f"The invocations cost about ${trial.cost_usd:.6f} at list prices.")


def _lines(findings: Sequence[Finding], output: Output) -> Iterator[str]:
    from covalent_lambda_container.doctor.examination import PROBLEM

    by_cause: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status == PROBLEM and finding.cause:
            by_cause.setdefault(finding.cause, []).append(finding.name)
    width = max(len(finding.name) for finding in findings)
    indent = " " * (len("problem  ") + width + 2)
    for finding in findings:
        same = by_cause.get(finding.cause, [finding.name])
        if finding.name != same[0]:
            # One cause is one problem, however much it keeps from being seen.
            continue
        first, *others = _broken(_flagged(finding.message), indent, output)
        status = output.coloured(f"{finding.status:7}", **_STYLES[finding.status])
        yield f"{status}  {finding.name:{width}}  {first}"
        yield from (indent + line for line in others)
        for remedy in _flagged(finding.remedy).splitlines():
            begin, *rest = _broken(remedy, f"{indent}  ", output)
            yield f"{indent}→ {begin}"
            yield from (f"{indent}  {line}" for line in rest)
        if same[1:]:
            text = f"The same keeps from being seen: {', '.join(same[1:])}."
            yield from (indent + line for line in _broken(text, indent, output))


def _flagged(text: str) -> str:
    return with_flags(text, click.get_current_context().command.params)


def _broken(text: str, indent: str, output: Output) -> list[str]:
    """Return the lines of a text, as long as a terminal has room for."""
    lines = text.splitlines()
    if output.width is None:
        return lines
    space = max(_NARROWEST, output.width - len(indent))
    return [
        part
        for line in lines
        for part in textwrap.wrap(line, space, break_on_hyphens=False, break_long_words=False)
    ]
