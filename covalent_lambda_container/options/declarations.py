"""Every option of the executor, as it is declared in `running` and `building`.

Everything else follows from here: the checks of `options.schema`, the executor's signature and
docstring, the flags of the command line and ``docs/options.md``. Nothing heavy is imported, so that
the command line's help is fast.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, get_args, get_origin, get_type_hints

from covalent_lambda_container.options.building import ImageOptions, IndexOptions
from covalent_lambda_container.options.option import Option
from covalent_lambda_container.options.running import (
    AccountOptions,
    FunctionOptions,
    TaskOptions,
)

SECTIONS: Final = (AccountOptions, TaskOptions, ImageOptions, IndexOptions, FunctionOptions)


@dataclass(frozen=True, kw_only=True)
class Declared:
    """One option as it is declared.

    Parameters
    ----------
    name, section
        The option's name, and its heading.
    type
        The plain type: ``str``, ``list[str]``.
    default
        The default value.
    option
        The declaration: description, flag and more.
    """

    name: str
    section: str
    type: Any
    default: Any
    option: Option

    @property
    def flag(self) -> str:
        """Flag of the command line, ``"--bucket"``; empty if there is none."""
        return self.option.flag.partition(" ")[0]

    @property
    def placeholder(self) -> str:
        """Placeholder for the flag's value in help texts."""
        return self.option.flag.partition(" ")[2]


def _declared() -> Mapping[str, Declared]:
    found = {}
    for section in SECTIONS:
        for name, annotation in get_type_hints(section, include_extras=True).items():
            base, *metadata = get_args(annotation)
            (option,) = (each for each in metadata if isinstance(each, Option))
            found[name] = Declared(
                name=name,
                section=str(section.__doc__),
                type=_plain(base),
                default=getattr(section, name),
                option=option,
            )
    return types.MappingProxyType(found)


def _plain(annotation: Any) -> Any:
    """Return a type without annotations; for a literal, the type of its values."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _plain(arguments[0])
    if origin is Literal:
        return type(arguments[0])
    return origin[tuple(map(_plain, arguments))] if origin else annotation


OPTIONS: Final = _declared()
"""All options by name."""
