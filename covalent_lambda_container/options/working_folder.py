"""The folder that relative paths in options start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.packages.requirements_files import names_file


def working_folder(values: Mapping[str, Any]) -> Path:
    """Return the working directory; any folder if it was deleted and no option needs it.

    Parameters
    ----------
    values
        Options by name, unchecked.

    Raises
    ------
    ConfigurationError
        When it was deleted, and an option has a path that is relative to it.
    """
    try:
        return Path.cwd()
    except FileNotFoundError:
        pass
    for name in ("requirements", "local_packages"):
        entries = values.get(name)
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, str) and _is_relative(name, entry):
                raise ConfigurationError(
                    f"AWSLambdaContainerExecutor option {name}: {entry!r} is relative to the "
                    "working directory, which was deleted.",
                    hint="Change to a folder that exists, or give absolute paths.",
                )
    return Path(os.path.sep)


def _is_relative(name: str, entry: str) -> bool:
    if name == "requirements":
        if not names_file(entry):
            return False
        entry = entry.replace("=", " ").partition(" ")[2].strip(" '\"")
    # Names of installed packages are found without it; those of folders are not.
    return not Path(entry).expanduser().is_absolute()
