"""Options of pip in requirements files: those that affect an image, and those that cannot."""

from __future__ import annotations

import argparse
import difflib
import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Final, NoReturn

from packaging.utils import InvalidName, canonicalize_name

from covalent_lambda_container.packages.index_settings import PACKAGE_INDEX
from covalent_lambda_container.packages.requirements import refusal
from covalent_lambda_container.packages.urls import INDEX_SCHEMES, checked_url

_OPTIONS = re.compile(r"(?:^|\s+)(?=-)")


def split_line(line: str, origin: str) -> tuple[str, dict[str, list[str]]]:
    """Split a line into its requirement, which may be empty, and the values of its options."""
    requirement, *options = _OPTIONS.split(line, maxsplit=1)
    try:
        given = _line_parser().parse_args(shlex.split(options[0]) if options else [])
    except ValueError as exc:
        raise refusal(origin, line, f"cannot be used in an image: {exc}") from None
    return requirement, vars(given)


class _LineParser(argparse.ArgumentParser):
    """Parses the options of one line."""

    def error(self, message: str) -> NoReturn:
        given = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        known = [name for name in self._option_string_actions if name.startswith("--")]
        near = difflib.get_close_matches(given[1], known, n=1) if given else []
        raise ValueError(f"{message}; did you mean {near[0]}?" if near else message)


@cache
def _line_parser() -> _LineParser:
    parser = _LineParser(add_help=False, allow_abbrev=False, argument_default=argparse.SUPPRESS)
    for names in (
        ["-r", "--requirement"],
        ["-c", "--constraint"],
        ["-e", "--editable"],
        ["-i", "--index-url", "--pypi-url"],
        ["--extra-index-url"],
        [PACKAGE_INDEX],
        ["-f", "--find-links"],
        ["--no-binary"],
        ["--only-binary"],
        ["--hash"],
        ["--trusted-host"],
        ["--config-settings"],
        ["--global-option"],
    ):
        parser.add_argument(*names, action="append")
    for name in ("--pre", "--no-index", "--prefer-binary", "--require-hashes"):
        parser.add_argument(name, action="store_const", const=[""])
    return parser


def _index_line(option: str) -> Callable[[str], list[str]]:
    # A trailing slash makes no difference for an index, but does for a page of links.
    return lambda url: [f"{option} {checked_url(url, INDEX_SCHEMES).rstrip('/')}"]


def _package_index_line(value: str) -> list[str]:
    name, equals, url = value.partition("=")
    if not equals:
        raise ValueError(f"has {value!r}, which should be a package and its index: NAME=URL")
    return [f"{PACKAGE_INDEX} {_package_name(name)}={checked_url(url, INDEX_SCHEMES).rstrip('/')}"]


def _name_lines(option: str) -> Callable[[str], list[str]]:
    return lambda names: [f"{option} {_package_name(name)}" for name in names.split(",")]


def with_options(options: Iterable[str], given: Mapping[str, Iterable[str]]) -> set[str]:
    """Return canonical options, and those of a line.

    Parameters
    ----------
    options
        Canonical lines of what comes before.
    given
        What `split_line` returns. As with pip, ``:none:`` empties the names that were given before.

    Raises
    ------
    ValueError
        For a value that is not allowed.
    """
    joined = set(options)
    for option, canonical in _OPTION_LINES.items():
        for value in given.get(option, ()):
            _, none, names = value.rpartition(":none:")
            if none and option in _NAMES:
                joined = {line for line in joined if not line.startswith(_NAMES[option])}
                joined |= set(canonical(names.strip(","))) if names.strip(",") else set()
            else:
                joined |= set(canonical(value))
    return joined


_NAMES: Final = {"no_binary": "--no-binary ", "only_binary": "--only-binary "}
"""Options with lists of names, and how their canonical lines begin."""

# Functions that return the canonical lines of an option, by argparse's name for the option.
_OPTION_LINES: Final[Mapping[str, Callable[[str], list[str]]]] = {
    "index_url": _index_line("--index-url"),
    "extra_index_url": _index_line("--extra-index-url"),
    "package_index": _package_index_line,
    "find_links": lambda url: [f"--find-links {checked_url(url, INDEX_SCHEMES)}"],
    "no_binary": _name_lines("--no-binary"),
    "only_binary": _name_lines("--only-binary"),
}


# Options that no image can honour: why, and what to do. Images imply --prefer-binary.
REFUSED: Final[Mapping[str, tuple[str, str]]] = {
    "pre": (
        "requests pre-releases of every package",
        "Name the pre-releases that you want: 'numpy>=2.0rc1' allows those of NumPy.",
    ),
    "no_index": (
        "disables indexes, which the dispatcher's machine configures",
        "Remove it; --index-url and --find-links set where packages are.",
    ),
    "trusted_host": (
        "is a setting of the machine that installs",
        "Set trusted-host in pip's configuration of the dispatcher's machine, or the executor's "
        "option ca_bundle.",
    ),
    "config_settings": (
        "has settings for a build, which are not supported",
        "Build a wheel with them, and require that by its URL or from an index of your own.",
    ),
    "global_option": (
        "has options for a build, which are not supported",
        "Build a wheel with them, and require that by its URL or from an index of your own.",
    ),
}


def _package_name(name: str) -> str:
    if name == ":all:":
        return name
    try:
        return canonicalize_name(name.strip(), validate=True)
    except InvalidName:
        raise ValueError(f"names {name!r}, which is no package, :all: or :none:") from None
