"""Reads uv's lock file with uv itself, without network and configuration, and its indexes."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import uv

from covalent_lambda_container.packages.installer_output import UNWRAPPED
from covalent_lambda_container.packages.urls import without_credentials

_EXPORT: Final = (
    *("export", "--frozen", "--offline", "--no-python-downloads", "--quiet"),
    # The format is the only one that says of each package where it is from.
    *("--format", "pylock.toml", "--no-emit-project", "--no-default-groups"),
)
_LIMIT_S: Final = 60


def exported(lock: Path, extras: Iterable[str] = (), groups: Iterable[str] = ()) -> str:
    """Return the text of a ``pylock.toml`` with what a ``uv.lock`` has for a project.

    The project itself is left out.

    Parameters
    ----------
    extras, groups
        Extras and dependency groups to include.

    Raises
    ------
    ValueError
        When uv cannot export it; the message has uv's words.
    """
    chosen = [part for name in extras for part in ("--extra", name)]
    chosen += [part for name in groups for part in ("--group", name)]
    return _run([*_EXPORT, *chosen], lock.parent)


@functools.cache
def default_index() -> str:
    """Return the address of the index that uv uses where nobody names one."""
    command = ["pip", "compile", "--no-config", "--offline", "--no-header", "--emit-index-url", "-"]
    return _run(command).removeprefix("--index-url").strip()


def _run(command: Sequence[str], folder: Path | None = None) -> str:
    # Variables of uv's could choose other groups, or another project.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("UV_")} | UNWRAPPED
    try:
        ended = subprocess.run(
            [uv.find_uv_bin(), *command, "--color", "never"],
            cwd=folder,
            env=environment,
            input="",
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise ValueError(f"uv cannot be run: {type(exc).__name__}") from exc
    if ended.returncode:
        said = without_credentials(ended.stderr.strip()).removeprefix("error: ")
        raise ValueError(f"uv cannot export it: {said.rstrip('.')}")
    return ended.stdout
