"""``covalent-lambda local``: the local stand-in for AWS, in the background."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from covalent_lambda_container.cli.help import group
from covalent_lambda_container.cli.output import Body, Output, reporting

if TYPE_CHECKING:
    from covalent_lambda_container.local.background import BackgroundStack

_FOLDER: Final = "~/.cache/covalent/lambda_container/local"


@group()
def local() -> None:
    """Run a local stand-in for AWS.

    It needs a Docker engine; on Debian or Ubuntu, as root, it installs and starts one if there is
    none.

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
        help="Where it keeps its credentials and logs.",
    )
    return option(body)


@local.command()
@_in_folder
@reporting
def up(folder: Path, output: Output) -> None:
    """Start it, unless it runs, and print the environment variables that lead there.

    \b
    Example:
      covalent-lambda local up
      eval "$(covalent-lambda local up)"
    """
    from covalent_lambda_container.local.background import Background

    stack = Background(folder).up(output.note)
    _show(stack, output)


@local.command()
@_in_folder
@reporting
def down(folder: Path, output: Output) -> None:
    """Stop it; its containers, files and images are removed.

    \b
    Example:
      covalent-lambda local down
    """
    from covalent_lambda_container.local.background import Background

    was_there = Background(folder).down()
    output.result({"stopped": was_there}, "stopped" if was_there else "it did not run")


@local.command()
@_in_folder
@reporting
def status(folder: Path, output: Output) -> None:
    """Print how to use it, as `up` does; exit with 1 if it does not run.

    \b
    Example:
      covalent-lambda local status
    """
    from covalent_lambda_container.local.background import Background

    stack = Background(folder).find()
    if stack:
        _show(stack, output)
        return
    output.note("The local stack does not run. Start it: covalent-lambda local up")
    if output.as_json:
        output.result({"environment": None, "options": None})
    click.get_current_context().exit(1)


def _show(stack: BackgroundStack, output: Output) -> None:
    from covalent_lambda_container.local.stack import OWNER_PROFILE

    document: dict[str, Any] = asdict(stack)
    variables = [f"export {name}={shlex.quote(v)}" for name, v in stack.environment.items()]
    output.note("The local stack runs. For Covalent's configuration, covalent.conf:\n")
    output.note("[executors.awslambda_container]")
    for name, value in stack.options.items():
        output.note(f'{name} = "{value}"')
    output.note(
        "\nFor a shell (AWS CLI, boto3), with a dispatcher's rights; the account's owner, who may "
        f"list, gc and bootstrap, is AWS_PROFILE={OWNER_PROFILE}:\n"
    )
    output.result(document, *variables)
