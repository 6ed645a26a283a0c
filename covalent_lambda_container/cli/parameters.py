"""Options shared by several commands, above all those of the executor."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from covalent_lambda_container.cli.help import EXECUTOR_SECTION, SectionOption
from covalent_lambda_container.options.declarations import OPTIONS

Body = TypeVar("Body", bound=Callable[..., Any])

ACCOUNT: Final = ("region", "profile", "credentials_file", "endpoint_url")
"""Options that name the account, the identity that is used, and the region."""

_OLDEST_MINOR: Final = 10
"""Oldest Python 3 that this project and its handler run on."""

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def duration(text: str | timedelta) -> timedelta:
    """Parse a duration such as ``30d``, ``12h``, ``15m`` or ``45s``; used as an option's type."""
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not a duration: write 30d, 12h, 15m or 45s.")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def python_version(text: str) -> str:
    """Return a minor version of Python that functions can have: a type of options."""
    match = re.fullmatch(r"3\.(\d{1,2})", text, re.ASCII)
    if match is None or int(match[1]) < _OLDEST_MINOR:
        raise click.BadParameter(
            f"{text!r} is not a Python that functions can have: write 3.{_OLDEST_MINOR} or later, "
            "without a third number."
        )
    return text


def account_number(text: str) -> str:
    """Return the number of an AWS account: a type of options."""
    if not re.fullmatch("[0-9]{12}", text):
        raise click.BadParameter(f"{text!r} is not an AWS account: its number has 12 digits.")
    return text


python_option = click.option(
    "--python",
    "python_version",
    metavar="X.Y",
    type=python_version,
    help="Python of the images, 3.10 or later; default: this one.",
)
"""Adds ``python_version`` to a command."""


def _check_files(
    context: click.Context, parameter: click.Parameter, values: Iterable[str]
) -> tuple[Path, ...]:
    """Return the paths of files that exist; those of projects may have names in brackets."""
    # Here and not above, so that --help stays fast.
    from covalent_lambda_container.packages.pip_forms import BY_URL, how_to_download
    from covalent_lambda_container.packages.project_files import path_and_names
    from covalent_lambda_container.packages.urls import without_credentials

    existing = click.Path(exists=True, dir_okay=False)
    for value in values:
        if "://" in value:
            raise click.BadParameter(
                f"{without_credentials(value)!r} {BY_URL}. {how_to_download(value)}",
                param_hint="-r",
            )
        existing.convert(str(path_and_names(value)[0]), parameter, context)
    return tuple(map(Path, values))


def files_option(meaning: str) -> Callable[[Body], Body]:
    """Add ``files``, the paths of requirements files, to a command."""
    return click.option(
        "-r",
        "--requirements-file",
        "files",
        multiple=True,
        metavar="FILE",
        callback=_check_files,
        help=f"{meaning}; may be repeated.",
    )


def refuse(given: Mapping[str, Any], names: Iterable[str], reason: str) -> None:
    """Raise if any of these executor options was given; ``reason`` says why it is not allowed."""
    flags = [OPTIONS[name].flag for name in names if given.get(name) is not None]
    if flags:
        raise click.UsageError(f"{', '.join(flags)}: {reason}.")


def executor_options(*names: str) -> Callable[[Body], Body]:
    """Add flags for options of the executor to a command.

    They are passed as the keyword ``given``, a dictionary from the options' names to values, with
    None for absent options, as `covalent_lambda_container.options.resolve.resolve` expects.
    """

    def decorate(body: Body) -> Body:
        @functools.wraps(body)
        def command(*args: Any, **kwargs: Any) -> Any:
            given = {name: kwargs.pop(name) for name in names}
            return body(*args, given=given, **kwargs)

        decorated: Any = command
        for name in reversed(names):
            declared = OPTIONS[name]
            option = click.option(
                declared.flag,
                name,
                cls=SectionOption,
                section=EXECUTOR_SECTION,
                metavar=declared.placeholder,
                help=declared.option.description,
            )
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


_LISTED: Final = re.compile(r"\boptions? ((?:[a-z0-9_]+(?:, | and | or ))*[a-z0-9_]+)")


def with_own_flags(text: str) -> str:
    """Return an error's text with the flags of the command that runs; see `with_flags`."""
    return with_flags(text, click.get_current_context().command.params)


def with_flags(text: str, parameters: Iterable[click.Parameter]) -> str:
    """Return an error's text with options replaced by the command's flags for them.

    Options without a flag are not replaced: they come from the configuration.
    """
    names = {each.name for each in parameters}
    flags = {
        name: declared.flag for name, declared in OPTIONS.items() if declared.flag and name in names
    }

    def flag(match: re.Match[str]) -> str:
        return flags.get(match[0], match[0])

    def listed(match: re.Match[str]) -> str:
        return re.sub(r"[a-z0-9_]+", flag, match[0])

    text = text.replace("AWSLambdaContainerExecutor option ", "option ")
    text = _LISTED.sub(listed, text)
    # Names with underscores cannot be anything but options, wherever they occur.
    return re.sub(r"(?<![\w-])[a-z0-9]+(?:_[a-z0-9]+)+\b", flag, text)
