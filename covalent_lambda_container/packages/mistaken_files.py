"""Files of a machine where a requirement is expected."""

from __future__ import annotations

import re
from typing import Final

from covalent_lambda_container.packages.requirements import refusal

_LIST: Final = re.compile(r"[^\s:@]*(\.txt|\.toml|uv\.lock)")
"""A file that lists packages, without the -r. No package has such a name."""
_PATH: Final = (".", "/", "~", "file:")
_ARCHIVE: Final = (".whl", ".tar.gz", ".zip")
_OWN_CODE_HINT: Final = (
    "Send your own code with the executor's option local_packages or the electron's "
    "ct.DepsModule; packages come from an index, a URL or a git repository."
)


def refuse_files(requirement: str, line: str, origin: str) -> None:
    """Refuse a requirement that is a file or folder.

    Parameters
    ----------
    requirement
        The requirement, or what ``-e`` names.
    line
        The line that has it, for the error.
    origin
        Where the line stands, for the error.

    Raises
    ------
    RequirementError
        It is one.
    """
    if _LIST.fullmatch(requirement):
        raise refusal(
            origin,
            line,
            "is the name of a file, not of a package",
            f"To install what the file lists, write '-r {requirement}'.",
        )
    if requirement.startswith(_PATH) or (
        "://" not in requirement and requirement.endswith(_ARCHIVE)
    ):
        raise refusal(origin, line, "is a folder or file of your machine", _OWN_CODE_HINT)
    if "@ file:" in requirement:
        raise refusal(
            origin,
            line,
            "is a file of the machine that wrote this list, as conda writes them",
            "Write the version instead: 'pip list --format=freeze' names versions.",
        )
