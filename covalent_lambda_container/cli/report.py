"""``covalent-lambda report``: how long a dispatch took, what it cost, and what to change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, executor_options
from covalent_lambda_container.cli.wiring import wiring
from covalent_lambda_container.cli.written_files import html_option, write_file


@command(short="Show the time and cost of a dispatch, and what to change.")
@click.argument("dispatch_id")
@click.option("--server", metavar="URL", help="Covalent's server; default: the configured one.")
@html_option("the report with pictures")
@click.option(
    "--images", is_flag=True, help="Also ask ECR for the size of the images, and what it costs."
)
@executor_options(*ACCOUNT, "ecr_repository")
@reporting
def report(
    dispatch_id: str,
    server: str | None,
    html_file: Path | None,
    images: bool,
    given: dict[str, Any],
    output: Output,
) -> None:
    """Show the time and cost of a dispatch's electrons, and what to change.

    All of it comes from Covalent's server, even for old dispatches. Costs are AWS's list prices.
    For dispatches that ran on a local stack, no cost is shown.

    \b
    Example:
      covalent-lambda report 2f0c5d1e-8f0e-4b7e-a7f5-3c1b9c6d2a10 --html out.html
    """
    from covalent_lambda_container.covalent_api.dispatch_nodes import read_nodes
    from covalent_lambda_container.report.dispatch_report import COLUMNS, DispatchReport
    from covalent_lambda_container.report.pictures import require_matplotlib

    if html_file is not None:
        require_matplotlib()
    found = DispatchReport(read_nodes(dispatch_id, server), _image_bytes(given) if images else None)
    if output.as_json:
        output.result(found.document)
    else:
        output.table(None, COLUMNS, found.rows)
        lines = ["", *found.summary]
        if found.advice:
            lines += ["", "What to change:"]
        lines += [
            f"  {one.electron}: {one.option}={one.value} ({one.reason})" for one in found.advice
        ]
        output.result(None, *output.fitting(lines))
    if html_file is not None:
        write_file(html_file, found.page.html, output)


def _image_bytes(given: dict[str, Any]) -> dict[str, int]:
    from covalent_lambda_container.options.resolve import resolve

    registry = wiring().account_stores_for(resolve(given)).registry
    return {image.digest: image.size_bytes for image in registry.list_images()}
