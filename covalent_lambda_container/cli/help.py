"""Help in sections: commands by what they are for, options by what they are of."""

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
"""How alike names are, of which one is suggested for the other; of 1."""


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
        """Write the options, those of no section first."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            # An argument without a help of its own is explained above.
            if record is not None and record[1]:
                heading = getattr(parameter, "section", "Options")
                sections.setdefault(heading, []).append(record)
        for heading in sorted(sections, key=("Options", EXECUTOR_SECTION, OUTPUT_SECTION).index):
            with formatter.section(heading):
                formatter.write_dl(sections[heading])


class Group(click.Group):
    """A group that says which command was probably meant."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest another if there is none of that name."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as exc:
            suggestion = did_you_mean(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{exc.message} {suggestion}".rstrip(), ctx) from exc


def command(name: str | None = None, short: str | None = None) -> Callable[[Body], Command]:
    """Make a command of a function.

    Parameters
    ----------
    name
        The command's; default: the function's.
    short
        What the list of commands says; default: the first sentence of the docstring, which must
        fit into a line of 80 characters there.
    """
    return click.command(name, cls=Command, short_help=short)


def group(name: str | None = None) -> Callable[[Body], Group]:
    """Make a group of a function."""
    return click.group(name, cls=Group)
