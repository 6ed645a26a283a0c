"""The group ``covalent-lambda``: finds its commands, and turns errors into exit codes."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import signal
import sys
import traceback
from types import FrameType
from typing import Any, Final, NoReturn

import click

from covalent_lambda_container.cli.help import Group
from covalent_lambda_container.cli.output import styled, wrapped
from covalent_lambda_container.cli.parameters import with_flags
from covalent_lambda_container.errors import LambdaContainerError

_SECTIONS: Final = {
    "Dispatches": {
        "logs": "logs:logs",
        "why": "why:why",
        "report": "report:report",
        "tune": "tune:tune",
    },
    "Images and functions": {
        "prebuild": "prebuild:prebuild",
        "list": "inventory:list_",
        "gc": "inventory:gc",
        "prewarm": "prewarm:prewarm",
        "render": "render:render",
    },
    "Set up": {
        "doctor": "doctor:doctor",
        "config": "config:config",
        "bootstrap": "account:bootstrap",
        "policy": "account:policy",
        "teardown": "account:teardown",
    },
    "On this machine": {
        "local": "local:local",
        "demo": "demo:demo",
    },
}
"""Commands in the sections of the help, the everyday ones first. Each has its module in this
package and its name there."""

_COMMANDS: Final = {
    name: place for section in _SECTIONS.values() for name, place in section.items()
}

_INTERRUPTED: Final = 130
"""Exit code that shells report for a program stopped by Ctrl-C."""


class LazyGroup(Group):
    """A group whose commands are imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names in the order of the table above."""
        return [*_COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; one that was added to the group is returned unchanged."""
        if cmd_name not in _COMMANDS:
            return super().get_command(ctx, cmd_name)
        module, _, name = _COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in their sections."""
        width = formatter.width - max(map(len, _COMMANDS)) - 6
        for heading, commands in _SECTIONS.items():
            with formatter.section(heading):
                found = {name: self.get_command(ctx, name) for name in commands}
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(width))
                        for name, command in found.items()
                        if command is not None
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; this project's errors become a message and an exit code.

        SIGTERM is handled like Ctrl-C, so that unfinished work is cleaned up.
        """
        try:
            return super().invoke(ctx)
        except LambdaContainerError as exc:
            command = self.get_command(ctx, ctx.invoked_subcommand or "")
            _fail(with_flags(str(exc), command.params if command else ()))
            ctx.exit(exc.exit_code)
        except click.exceptions.NoArgsIsHelpError:
            raise
        except click.UsageError as exc:
            message = wrapped(f"Error: {exc.format_message()}", sys.stderr)
            raise click.UsageError(message.removeprefix("Error: "), exc.ctx) from exc
        except KeyboardInterrupt:
            _fail("interrupted")
            ctx.exit(_INTERRUPTED)
        except (ValueError, IndexError) as exc:
            if not _is_of_toml(exc):
                raise
            # Covalent reads its configuration when it is imported.
            from covalent_lambda_container.options.configuration import invalid_file

            error = invalid_file(exc)
            _fail(str(error))
            ctx.exit(error.exit_code)


def _is_of_toml(exc: BaseException) -> bool:
    """Return whether the parser of Covalent's configuration raised an error, of whatever class."""
    frames = [frame for frame, _ in traceback.walk_tb(exc.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").startswith("toml.")


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="covalent-lambda-container")
def cli() -> None:
    """Images and functions of the Covalent executor `awslambda_container`.

    Options of the executor that are not given come from the section
    [executors.awslambda_container] of Covalent's configuration, as for the executor.

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
    try:
        cli(prog_name="covalent-lambda")
    except SystemExit as exc:
        if "pyqwest" in sys.modules and isinstance(exc.code, int | None):
            _leave(exc.code or 0)
        raise


def _leave(status: int) -> NoReturn:
    """End the process without finalizing the interpreter.

    Threads of pyqwest's connections may acquire the interpreter at any moment. During finalization,
    Python terminates such threads, which Rust's code does not survive: the process would abort
    after its work is done.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _fail(text: str) -> None:
    print(styled(text, sys.stderr, "Error:", fg="red"), file=sys.stderr, flush=True)


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
