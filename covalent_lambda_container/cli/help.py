"""Help in sections: commands by purpose, options by the object they configure."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any, Final

import click

from covalent_lambda_container.options.suggestions import did_you_mean

Body = Callable[..., Any]

EXECUTOR_SECTION: Final = "Options of the executor"
OUTPUT_SECTION: Final = "Output"
_NEAR: Final = 0.7
"""Least similarity of a suggested name, from 0 to 1."""


class SectionOption(click.Option):
    """An option that help shows in a section of its own.

    Parameters
    ----------
    section
        The section's heading.
    """

    def __init__(self, *args: Any, section: str, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section


class Command(click.Command):
    """A command whose options are shown in sections; suggests those with similar names only."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse arguments; suggest another option if there is none of a name."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as exc:
            given = exc.option_name.lstrip("-")
            known = {name.lstrip("-"): name for each in self.get_params(ctx) for name in each.opts}
            near = difflib.get_close_matches(given, known, n=2, cutoff=_NEAR)
            near += [name for name in known if len(given) > 2 and given in name.split("-")]
            suggested = [known[name] for name in dict.fromkeys(near)]
            raise click.NoSuchOption(exc.option_name, possibilities=suggested, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, starting with those that have no section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            # Arguments without help of their own are explained in the text above.
            if record is not None and record[1]:
                heading = getattr(parameter, "section", "Options")
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=("Options", EXECUTOR_SECTION, OUTPUT_SECTION).index):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


class Group(click.Group):
    """A group that suggests commands for misspelt names."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest another if none has that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            suggestion = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{exc.message} {suggestion}".rstrip(), ctx) from exc


def command(name: str | None = None, short: str | None = None) -> Callable[[Body], Command]:
    """Make a function a command.

    Parameters
    ----------
    name
        The command's name; default: the function's.
    short
        Text in the list of commands; default: the first sentence of the docstring, which must
        then fit into that list's lines of 80 characters.
    """
    return click.command(name, cls=Command, short_help=short)


def group(name: str | None = None) -> Callable[[Body], Group]:
    """Make a function a group."""
    return click.group(name, cls=Group)
