"""``covalent-lambda config``: the executor's section of Covalent's configuration."""

from __future__ import annotations

import json
from typing import Any, get_origin

import click

from covalent_lambda_container.cli.help import group
from covalent_lambda_container.cli.output import Output, reporting
from covalent_lambda_container.model.names import SECTION
from covalent_lambda_container.options.declarations import OPTIONS, Declared
from covalent_lambda_container.options.suggestions import did_you_mean


@group()
def config() -> None:
    """Show and change options in Covalent's configuration.

    They are in the section [executors.awslambda_container]; the rest of the file is not changed.

    \b
    Example:
      covalent-lambda config set region=eu-central-1 memory_size=1024
    """


@config.command()
@click.option("--all", "show_all", is_flag=True, help="Also show options that have their default.")
@reporting
def show(show_all: bool, output: Output) -> None:
    """Show the options that are set, and report names that are not options.

    \b
    Example:
      covalent-lambda config show
    """
    from covalent_lambda_container.options.configuration import (
        ALIASES,
        configuration_file,
        read_section,
        unknown_names,
    )

    section = read_section()
    unknown = unknown_names(section)
    values = {
        name: section.get(name, declared.default)
        for name, declared in OPTIONS.items()
        if show_all or section.get(name, declared.default) != declared.default
    }
    values |= {name: section[name] for name in ALIASES if section.get(name)}
    output.note(f"# {configuration_file()}")
    output.result(
        {"file": str(configuration_file()), "options": values, "unknown": sorted(unknown)},
        *as_toml(values).splitlines(),
    )
    for name, suggestion in unknown.items():
        output.warn(f"there is no option {name}. {suggestion}".rstrip())


@config.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
@reporting
def set_(assignments: tuple[str, ...], output: Output) -> None:
    """Set options; the rest of the file is not changed.

    Values are checked first. Write strings without quotes, all other values as JSON: true, 512,
    '["six"]', '{"MODE": "fast"}'.

    \b
    Example:
      covalent-lambda config set region=eu-central-1 memory_size=1024
    """
    given = dict(_assignment(text) for text in assignments)
    write(given, output)


@config.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@reporting
def unset(names: tuple[str, ...], output: Output) -> None:
    """Remove options, which resets them to their defaults.

    \b
    Example:
      covalent-lambda config unset endpoint_url profile
    """
    from covalent_lambda_container.options.configuration import (
        change_section,
        configuration_file,
        read_section,
    )

    there = read_section()
    for name in names:
        if name not in there and name not in OPTIONS:
            raise click.BadParameter(_no_such(name), param_hint="NAME")
    change_section({}, removed=names)
    removed = [name for name in names if name in there]
    output.result(
        {"file": str(configuration_file()), "removed": removed},
        *(removed or [f"Not set: {', '.join(names)}"]),
    )


def write(given: dict[str, Any], output: Output) -> None:
    """Check values together with the section's other values, then write them."""
    from covalent_lambda_container.options.configuration import (
        change_section,
        configuration_file,
        read_section,
    )
    from covalent_lambda_container.options.resolve import specified
    from covalent_lambda_container.options.schema import Options
    from covalent_lambda_container.options.working_folder import working_folder

    known = {name: value for name, value in read_section().items() if name in OPTIONS}
    values = specified(known) | given
    Options.check(values, folder=working_folder(values))
    change_section(given)
    output.note(f"# {configuration_file()}")
    output.result(
        {"file": str(configuration_file()), "options": given}, *as_toml(given).splitlines()
    )


def as_toml(values: dict[str, Any]) -> str:
    """Return values as the configuration file has them."""
    import toml

    document: dict[str, Any] = values
    for name in reversed(SECTION.split(".")):
        document = {name: document}
    # Its own tables, such as environment, have the section's name before theirs.
    return toml.dumps(document).rstrip("\n") if values else f"[{SECTION}]"


def command_for(values: dict[str, Any]) -> str:
    """Return the command that writes values to the configuration."""
    import shlex

    texts = (
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in values.items()
    )
    return shlex.join(["covalent-lambda", "config", "set", *texts])


def _assignment(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="NAME=VALUE")
    declared = OPTIONS.get(name)
    if declared is None:
        raise click.BadParameter(_no_such(name), param_hint="NAME=VALUE")
    return name, _value(declared, value)


def _value(declared: Declared, text: str) -> Any:
    if declared.type is str:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, (int, float) if declared.type is float else _kind(declared)):
        examples = {int: "512", float: "0.5", bool: "true", list: '["six"]', dict: '{"A": "1"}'}
        raise click.BadParameter(
            f"{declared.name} cannot be {text!r}: write it as JSON, such as "
            f"{examples[_kind(declared)]}.",
            param_hint="NAME=VALUE",
        )
    return value


def _kind(declared: Declared) -> type:
    return get_origin(declared.type) or declared.type  # type: ignore[no-any-return]


def _no_such(name: str) -> str:
    return f"there is no option {name!r}. {did_you_mean(name, OPTIONS)}".rstrip()
