"""``covalent-lambda doctor``: what would keep electrons from running."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options

if TYPE_CHECKING:
    from covalent_lambda_container.doctor.examination import Finding


@command()
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for what does not answer.",
)
@executor_options(
    *("s3_bucket_name", "ecr_repository", "lambda_role_name", "base_image", "architecture"),
    *ACCOUNT,
)
@reporting
@click.pass_context
def doctor(context: click.Context, timeout_s: float, given: dict[str, Any], output: Output) -> None:
    """Look for what would keep electrons from running, and say how to mend it.

    Looks at Docker, the AWS account and Covalent at once. Exit code 1 says that there is a problem;
    what this identity may not see is none.

    \b
    Example:
      covalent-lambda doctor
    """
    from covalent_lambda_container.doctor.diagnosis import diagnose
    from covalent_lambda_container.doctor.examination import PROBLEM
    from covalent_lambda_container.options.resolve import resolve

    findings = diagnose(resolve(given), timeout_s=timeout_s)
    output.result([dataclasses.asdict(finding) for finding in findings], *_lines(findings))
    if any(finding.status == PROBLEM for finding in findings):
        context.exit(1)


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    width = max(len(finding.name) for finding in findings)
    indent = " " * (len("problem  ") + width + 2)
    for finding in findings:
        first, *others = finding.message.splitlines()
        yield f"{finding.status:7}  {finding.name:{width}}  {first}"
        yield from (indent + line for line in others)
        yield from (f"{indent}→ {line}" for line in finding.remedy.splitlines())
