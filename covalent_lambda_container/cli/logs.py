"""``covalent-lambda logs``: what a function wrote."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import click

from covalent_lambda_container.cli.help import command
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.cli.parameters import ACCOUNT, duration, executor_options
from covalent_lambda_container.cli.wiring import wiring


@command()
@click.argument("function")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it writes, until Ctrl-C.")
@click.option(
    "--since",
    type=duration,
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Begin this long ago: 10m, 2d.",
)
@executor_options(*ACCOUNT)
@reporting
def logs(
    function: str, follow: bool, since: timedelta, given: dict[str, Any], output: Output
) -> None:
    """Show what a FUNCTION wrote.

    That is its tasks' output, and Lambda's own lines.

    With --json, each event is a JSON document on a line of its own.

    \b
    Example:
      covalent-lambda logs covalent-20193b0346945e4e-ddf6c09f7176e433 --follow
    """
    from covalent_lambda_container.options.resolve import resolve

    stores = wiring().account_stores_for(resolve(given))
    start = datetime.now(timezone.utc) - since
    for line in stores.logs.read(function, start, follow=follow):
        time = line.time.isoformat(timespec="milliseconds")
        text = line.text.rstrip("\n")
        output.line({"time": time, "text": text}, f"{time}  {text}")
