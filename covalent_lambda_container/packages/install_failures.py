"""Errors of failed installations: the reason first, then the advice and the installer's words.

Both installers explain at length how they came to a conclusion. Users need the conclusion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from covalent_lambda_container.errors import ImageBuildError, RequirementsConflict
from covalent_lambda_container.packages.failure_reasons import (
    failed_build,
    in_own_words,
    no_solution,
    not_fetched,
    obstacle,
    unknown_name,
)
from covalent_lambda_container.packages.installer_output import names_to_build, shortened

HEADING: Final = "The packages could not be installed"

_UNREACHED_HINT: Final = (
    "Check that the package index can be reached from the dispatcher's machine."
)


def unsatisfiable(said: str, newest: Callable[[str], str]) -> ImageBuildError:
    """Return the error for requirements that uv cannot satisfy.

    Parameters
    ----------
    said
        uv's output, without passwords.
    newest
        Returns the newest version of a package that an image can have, or ``""`` if it is not
        known.

    Returns
    -------
    ImageBuildError
        A `RequirementsConflict` if other versions might be compatible.
    """
    known = obstacle(said) or unknown_name(said)
    if known is None and "No solution found" not in said and (words := in_own_words(said)):
        # It is about one file, and not about versions.
        known = words, None
    kind = ImageBuildError if known else RequirementsConflict
    reason, hint = (
        known or no_solution(said, newest) or ("uv cannot satisfy the requirements", None)
    )
    return kind(f"{HEADING}: {reason}.\n{shortened(said)}", hint=hint)


def not_reached(said: str) -> ImageBuildError:
    """Return the error for an installation that uv aborted, from its output."""
    reason, hint = obstacle(said) or (in_own_words(said) or "uv failed", _UNREACHED_HINT)
    return ImageBuildError(f"{HEADING}: {reason}.\n{shortened(said)}", hint=hint)


def not_built(said: str, wheels_said: str, base_image: str) -> ImageBuildError:
    """Return the error for packages that uv could not build, or not in a container.

    Parameters
    ----------
    said
        uv's output in the container, without passwords.
    wheels_said
        Output of uv, which found no wheels, so that the packages had to be built.
    base_image
        The root image, on which the advice depends.
    """
    names = ", ".join(names_to_build(wheels_said))
    reason, hint = (
        obstacle(said)
        or not_fetched(said)
        or failed_build(said, names, base_image)
        or unknown_name(said)
        or no_solution(said, lambda _: "")
        or (in_own_words(said) or f"{names or 'a package'} could not be built", None)
    )
    parts = [f"{HEADING}: {reason}.", *filter(None, [shortened(said)])]
    if names:
        parts.append(f"There is no wheel for {names} for this image.")
    elif wheels_said:
        parts.append(f"Installing from wheels only failed:\n{shortened(wheels_said)}")
    return ImageBuildError("\n".join(parts), hint=hint)


def not_tried(failure: ImageBuildError, wheels_said: str) -> ImageBuildError:
    """Return the error for packages whose build did not begin.

    Parameters
    ----------
    failure
        What kept it from beginning.
    wheels_said
        Why the packages are built: the output of uv, which found no wheels.
    """
    names = ", ".join(names_to_build(wheels_said))
    parts = [f"{HEADING}: {failure.message}"]
    if names:
        parts.append(f"There is no wheel for {names} for this image, and it was to be built.")
    return ImageBuildError("\n".join(parts), hint=failure.hint)
