"""Commands of DepsBash that run while an image is built: their files, and what their failure means.

Some run below the packages, which may need what they install to be built; others above them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.model.specs import ImageSpec

_FOLDER: Final = "opt/covalent-lambda"
_RUN: Final = "run-command.sh"
_SEARCH_PATH: Final = (
    Path(__file__).resolve().parents[1] / "runtime" / "child_processes" / "sitecustomize.py"
)
"""Puts the packages behind the standard library, as for the processes that tasks start."""

_FAILED: Final = re.compile(
    rf"{_RUN} (?P<kind>before|after)-(?P<number>\d+)\.sh\b[^\n]*returned a non-zero code: "
    r"(?P<status>\d+)[^\n]*\n?"
)
_NO_PACKAGE: Final = re.compile(r"No module named|command not found|: not found")


def command_files(spec: ImageSpec, run: bytes, authorities: bytes | None) -> dict[str, bytes]:
    """Return the files that commands below the packages need, by their path in the image.

    Parameters
    ----------
    run
        The script that runs a command.
    authorities
        Certificate authorities that programs trust meanwhile, as PEM text.
    """
    return _files("before", spec.commands, run, authorities)


def late_command_files(spec: ImageSpec, run: bytes, authorities: bytes | None) -> dict[str, bytes]:
    """Return the files that commands above the packages need, as `command_files`."""
    found = _files("after", spec.late_commands, run, authorities)
    if found:
        found[f"{_FOLDER}/search-path/sitecustomize.py"] = _SEARCH_PATH.read_bytes()
    return found


@contextmanager
def explained(spec: ImageSpec) -> Iterator[None]:
    """Name the command in the error of a build in which one failed."""
    try:
        yield
    except ImageBuildError as exc:
        found = _explanation(exc, spec)
        if found is exc:
            raise
        raise found from exc


def _explanation(error: ImageBuildError, spec: ImageSpec) -> ImageBuildError:
    match = _FAILED.search(error.message)
    if match is None:
        return error
    commands = spec.commands if match["kind"] == "before" else spec.late_commands
    number = int(match["number"])
    if not 0 < number <= len(commands):
        return error
    said = error.message[match.end() :].rstrip()
    hint = None
    if match["kind"] == "before" and _NO_PACKAGE.search(said):
        hint = (
            "Commands run before the packages are installed. If this one uses a package, set the "
            "executor's option bash_deps='after_packages'."
        )
    return ImageBuildError(
        f"DepsBash: the command {commands[number - 1]!r} ended with status {match['status']}.\n"
        f"{said}".rstrip(),
        hint=hint,
    )


def _files(
    kind: str, commands: Sequence[str], run: bytes, authorities: bytes | None
) -> dict[str, bytes]:
    found = {
        f"{_FOLDER}/commands/{kind}-{number:03d}.sh": f"{command}\n".encode()
        for number, command in enumerate(commands, start=1)
    }
    if found:
        found[f"{_FOLDER}/{_RUN}"] = run
        if authorities is not None:
            found[f"{_FOLDER}/ca-bundle.crt"] = authorities
    return found
