"""The group ``covalent-lambda``: finds its commands, and turns errors into exit codes."""

from __future__ import annotations

import importlib
import signal
from types import FrameType
from typing import Any, Final

import click

from covalent_lambda_container.errors import LambdaContainerError

_COMMANDS: Final = {
    "prebuild": "prebuild:prebuild",
    "prewarm": "prewarm:prewarm",
    "list": "inventory:list_",
    "gc": "inventory:gc",
    "logs": "logs:logs",
    "render": "render:render",
    "local": "local:local",
    "demo": "demo:demo",
    "bootstrap": "account:bootstrap",
    "teardown": "account:teardown",
    "policy": "account:policy",
    "doctor": "doctor:doctor",
}
"""Module of this package and name in it, of each command."""

_INTERRUPTED: Final = 130
"""Exit code of a program that ended by Ctrl-C, as shells count it."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the commands' names in the order of the table above."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import a command."""
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; errors of ours become a message and an exit code, others stay as they are.

        Terminated is interrupted: what was begun is taken back.
        """
        try:
            return super().invoke(ctx)
        except LambdaContainerError as exc:
            click.echo(f"Error: {exc}", err=True)
            ctx.exit(exc.exit_code)
        except KeyboardInterrupt:
            click.echo("Error: interrupted", err=True)
            ctx.exit(_INTERRUPTED)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="covalent-lambda-container")
def cli() -> None:
    """Images and functions of the Covalent executor `awslambda_container`.

    Options that are not given are taken from the section [executors.awslambda_container] of
    Covalent's configuration, as the executor does.

    \b
    Example:
      covalent-lambda prebuild workflow.py
    \b
    Completion in this shell (bash; zsh_source and fish_source for the others):
      eval "$(_COVALENT_LAMBDA_COMPLETE=bash_source covalent-lambda)"
    """


def main() -> None:
    """Run the command line in a process of its own."""
    signal.signal(signal.SIGTERM, _interrupt)
    cli(prog_name="covalent-lambda")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
