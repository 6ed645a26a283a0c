"""``covalent-lambda local``: the local stand-in for AWS, in the background."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.config import command_for
from covalent_lambda_container.cli.help import group
from covalent_lambda_container.cli.output import Body, Output, reporting

if TYPE_CHECKING:
    from covalent_lambda_container.local.background import BackgroundStack

_FOLDER: Final = "~/.cache/covalent/lambda_container/local"


@group()
def local() -> None:
    """Run a local stand-in for AWS.

    Requires a Docker engine. On Debian and Ubuntu, as root, installs and starts one if needed.

    \b
    Example:
      covalent-lambda local up
    """


def _in_folder(body: Body) -> Body:
    option = click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        default=_FOLDER,
        show_default=True,
        help="Folder for its credentials and logs.",
    )
    return option(body)


@local.command()
@_in_folder
@click.option(
    "--port",
    type=click.IntRange(1024, 65535),
    metavar="PORT",
    help="Port to listen on; default: a free one, which changes with each start.",
)
@click.option(
    "--configure",
    is_flag=True,
    help="Write its address to Covalent's configuration; `local down` says how to undo it.",
)
@reporting
def up(folder: Path, port: int | None, configure: bool, output: Output) -> None:
    """Start the local stack, unless it is running, and print how to use it.

    \b
    Example:
      covalent-lambda local up --port 4566 --configure
      eval "$(covalent-lambda local up)"
    """
    from covalent_lambda_container.local.background import Background

    stack = Background(folder).up(output.note, port=port or 0)
    if configure:
        from covalent_lambda_container.options.configuration import (
            change_section,
            configuration_file,
        )

        change_section(stack.options)
        output.note(f"Written to {configuration_file()}.")
    instructions(stack, output)


@local.command()
@_in_folder
@reporting
def down(folder: Path, output: Output) -> None:
    """Stop the local stack, and remove its containers, files and images.

    Prints how to remove settings that still refer to it, in Covalent's configuration and this
    shell.

    \b
    Example:
      covalent-lambda local down
    """
    from covalent_lambda_container.local.background import Background

    background = Background(folder)
    stack = background.find()
    was_there = background.down()
    if stack:
        for line in undoing(stack):
            output.note(line)
    output.result({"stopped": was_there}, "stopped" if was_there else "it was not running")


@local.command()
@_in_folder
@reporting
def status(folder: Path, output: Output) -> None:
    """Print how to use the local stack; exit with 1 if it is not running.

    \b
    Example:
      covalent-lambda local status
    """
    from covalent_lambda_container.local.background import Background

    stack = Background(folder).find()
    if stack:
        instructions(stack, output)
        return
    output.note("The local stack is not running. Start it: covalent-lambda local up")
    if output.as_json:
        output.result({"environment": None, "options": None})
    click.get_current_context().exit(1)


def instructions(stack: BackgroundStack, output: Output) -> None:
    """Print how to use a stack; its variables are the result."""
    from covalent_lambda_container.local.stack import OWNER_PROFILE
    from covalent_lambda_container.options.configuration import read_section

    document: dict[str, Any] = asdict(stack)
    variables = [f"export {name}={shlex.quote(v)}" for name, v in stack.environment.items()]
    output.note(f"The local stack is running: {stack.options['endpoint_url']}\n")
    section = read_section()
    if any(section.get(name) != value for name, value in stack.options.items()):
        output.note(
            "For workflows and covalent-lambda, in Covalent's configuration ('local up "
            "--configure' does the same):\n"
        )
        output.note(f"  {command_for(stack.options)}\n")
    output.note(
        "Start Covalent's server, which reads its configuration once, and run workflows:\n"
        "  covalent start\n"
        "  python workflow.py\n"
    )
    output.note(
        "For the AWS CLI and boto3, the variables below have the rights of a dispatcher. The "
        f"profile {OWNER_PROFILE} has those of the account's owner:\n"
        f"  covalent-lambda list --profile {OWNER_PROFILE}\n"
        f"  AWS_PROFILE={OWNER_PROFILE} aws ecr describe-repositories\n"
    )
    output.result(document, *variables)


def undoing(stack: BackgroundStack) -> Iterator[str]:
    """Yield instructions for undoing the settings that lead to a stack that was stopped."""
    from covalent_lambda_container.options.configuration import read_section

    section = read_section()
    if section.get("endpoint_url") == stack.options["endpoint_url"]:
        names = [name for name, value in stack.options.items() if section.get(name) == value]
        yield "Covalent's configuration still refers to it. Undo it:"
        yield f"  {shlex.join(['covalent-lambda', 'config', 'unset', *names])}"
    if os.environ.get("AWS_ENDPOINT_URL") == stack.environment.get("AWS_ENDPOINT_URL"):
        names = [name for name, value in stack.environment.items() if os.environ.get(name) == value]
        yield "This shell still refers to it. Undo it:"
        yield f"  unset {' '.join(names)}"
