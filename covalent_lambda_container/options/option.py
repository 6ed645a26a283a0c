"""How an option is declared: its type with what is said of it.

Nothing heavy is imported, so that the command line's help is quick.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final


@dataclass(frozen=True)
class Option:
    """What is said of an option beside its type.

    Parameters
    ----------
    description
        What it is, in one sentence or two; part of error messages, help and documentation.
    remark
        What only the documentation adds.
    flag
        Flag of the command line and its placeholder: ``"--bucket NAME"``.
    function
        Field of `FunctionSpec` that has the option's value, for options that functions are created
        with.
    """

    description: str
    remark: str = ""
    flag: str = ""
    function: str = ""


class CoreSchema:
    """Changes Pydantic's schema of a type, without an import of Pydantic.

    Parameters
    ----------
    changes
        Entries of the core schema: ``strict``, ``pattern``.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        """Return the schema of the type with the changes; called by Pydantic."""
        return {**handler(source), **self._changes}


_FORMS: dict[str, str] = {}


def pattern(text: str, form: str) -> CoreSchema:
    """Return the annotation of a text that must match a regular expression.

    Parameters
    ----------
    text
        The regular expression.
    form
        What it asks for, in words, as the end of "it should be".
    """
    _FORMS[text] = form
    return CoreSchema(pattern=text)


def form_of(text: str) -> str:
    """Return in words what a regular expression of an option asks for."""
    return _FORMS[text]


STRICT: Final = CoreSchema(strict=True)
Text = Annotated[str, STRICT]
Whole = Annotated[int, STRICT]
Number = Annotated[float, STRICT]
Truth = Annotated[bool, STRICT]
