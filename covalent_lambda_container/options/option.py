"""The declaration of an option: its type, annotated with everything else.

Nothing heavy is imported, so that the command line's help is fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final


@dataclass(frozen=True)
class Option:
    """An option's declaration apart from its type.

    Parameters
    ----------
    description
        Description in one or two sentences; used in error messages, help and documentation.
    remark
        Remarks for the documentation only.
    flag
        Flag of the command line with its placeholder: ``"--bucket NAME"``.
    function
        Field of `FunctionSpec` with the option's value, for options of created functions.
    """

    description: str
    remark: str = ""
    flag: str = ""
    function: str = ""


class CoreSchema:
    """Changes Pydantic's schema of a type without importing Pydantic.

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
    """Return the annotation for a string that must match a regular expression.

    Parameters
    ----------
    text
        The regular expression.
    form
        The required form in words, as the end of "it should be".
    """
    _FORMS[text] = form
    return CoreSchema(pattern=text)


def form_of(text: str) -> str:
    """Return in words the form that an option's regular expression requires."""
    return _FORMS[text]


STRICT: Final = CoreSchema(strict=True)
Text = Annotated[str, STRICT]
Whole = Annotated[int, STRICT]
Number = Annotated[float, STRICT]
Truth = Annotated[bool, STRICT]
