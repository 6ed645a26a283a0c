"""The function and image that a task ran on, as its error or the stderr of its node records it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from covalent_lambda_container.model.names import FUNCTION_PREFIX, is_image_tag


@dataclass(frozen=True)
class Place:
    """A function, and the image that it runs.

    Parameters
    ----------
    function
        Its name.
    image
        Tag of the image; empty if it is not known.
    """

    function: str
    image: str = ""

    def __str__(self) -> str:
        """Return both for readers; `recorded_place` finds it in a text."""
        return f"function {self.function}" + (f" (image {self.image})" if self.image else "")

    @property
    def line(self) -> str:
        """The line about it in a failed task's stderr."""
        return f"{_RAN_ON}{self}"


_RAN_ON: Final = "Ran on "
_PLACE: Final = (
    rf"\bfunction (?P<function>{FUNCTION_PREFIX}[0-9a-f]{{16}}-[0-9a-f]{{16}})\b"
    r"(?: \(image (?P<image>[0-9a-z-]{1,64})\))?"
)
_IN_TEXT: Final = re.compile(_PLACE)
_LINE: Final = re.compile(rf"^{_RAN_ON}{_PLACE}$", re.MULTILINE)


def recorded_place(stderr: str, error: str) -> Place | None:
    """Return where a failed task ran, or None if neither text says so.

    Parameters
    ----------
    stderr
        Of its node. It has a line of the executor's if the task raised an error.
    error
        Of its node. It names the function if that gave no answer.
    """
    # The task may have printed such lines: the executor's is behind all that a task writes.
    lines = list(_LINE.finditer(stderr))
    found = lines[-1] if lines else _IN_TEXT.search(error.partition("\n")[0])
    if found is None:
        return None
    image = found["image"] or ""
    return Place(found["function"], image if is_image_tag(image) else "")
