"""The failures of a command on several tasks or images, which all are shown."""

from __future__ import annotations

from collections.abc import Sequence

from covalent_lambda_container.cli.output import Output
from covalent_lambda_container.cli.parameters import with_own_flags
from covalent_lambda_container.errors import LambdaContainerError


def show_all(errors: Sequence[LambdaContainerError], output: Output) -> None:
    """Show errors, with the running command's flags for options."""
    for error in errors:
        output.error(with_own_flags(str(error)))


class BuildFailures:
    """Shows failures when they occur, and keeps them.

    Parameters
    ----------
    output
        The output of the command that runs.

    Attributes
    ----------
    errors
        All failures, in the order in which they occurred.
    """

    def __init__(self, output: Output) -> None:
        self.errors: list[LambdaContainerError] = []
        self._output = output
        self._titles: dict[str, str] = {}

    def add(self, title: str, error: LambdaContainerError) -> None:
        """Show the failure of an image; only its title if another failed for the same reason."""
        self.errors.append(error)
        first = self._titles.setdefault(str(error), title)
        if first == title:
            self._output.error(f"{title}: {with_own_flags(str(error))}")
        else:
            self._output.error(f"{title}: failed for the same reason as {first}.")
