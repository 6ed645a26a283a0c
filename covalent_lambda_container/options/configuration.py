"""The executor's section of Covalent's configuration file: read, checked and changed.

Works where Covalent itself cannot be imported because the file is not valid.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final

import toml
from filelock import FileLock, Timeout

from covalent_lambda_container.errors import ConfigurationError, reason_of
from covalent_lambda_container.model.names import SECTION
from covalent_lambda_container.options.declarations import OPTIONS
from covalent_lambda_container.options.suggestions import did_you_mean

ALIASES: Final = {"credentials": "credentials_file"}
"""Older names of options that the section may still contain."""

_LOCK_PATIENCE_S: Final = 10.0
_QUOTED: Final = re.compile(r"[{\['\"`]")
"""Begins what the parser quotes."""


def configuration_file() -> Path:
    """Return the path of Covalent's configuration.

    Follows Covalent's own rule (`covalent._shared_files.defaults`, 0.240), which cannot be imported
    while the file is not valid.
    """
    folder = os.environ.get("COVALENT_CONFIG_DIR") or os.environ.get("XDG_CONFIG_DIR")
    return Path(folder or Path.home() / ".config" / "covalent") / "covalent.conf"


def read_section(path: Path | None = None) -> dict[str, Any]:
    """Return the section's content; empty if the file or the section does not exist.

    Raises
    ------
    ConfigurationError
        The file is not valid TOML.
    """
    section: Any = _read(path or configuration_file())
    for name in SECTION.split("."):
        section = section.get(name, {})
    return dict(section)


def change_section(
    changes: Mapping[str, Any], *, removed: Collection[str] = (), path: Path | None = None
) -> None:
    """Set and remove options of the section; nothing else in the file changes.

    The file is replaced as a whole, under the lock that Covalent itself uses.

    Parameters
    ----------
    changes
        New values, checked by the caller.
    removed
        Names to remove; absent ones are ignored.

    Raises
    ------
    ConfigurationError
        The file is not valid TOML, or cannot be written.
    """
    path = path or configuration_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{path}.lock", timeout=_LOCK_PATIENCE_S):
            content = _read(path)
            section: Any = content
            for name in SECTION.split("."):
                section = section.setdefault(name, {})
            for name in removed:
                section.pop(name, None)
            section.update(changes)
            _replace(path, toml.dumps(content))
    except (OSError, Timeout) as exc:
        raise ConfigurationError(
            f"Covalent's configuration {path} cannot be changed: {exc}."
        ) from exc
    loaded: Any = sys.modules.get("covalent._shared_files.config")
    if loaded is not None:
        loaded.reload_config()


def unknown_names(section: Mapping[str, Any]) -> dict[str, str]:
    """Return the names in the section that are not options, each with a suggestion."""
    return {
        name: did_you_mean(name, OPTIONS)
        for name in section
        if name not in OPTIONS and name not in ALIASES
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = toml.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, IndexError) as exc:  # what toml raises for some broken files
        raise invalid_file(exc, path) from exc
    except OSError as exc:
        raise ConfigurationError(
            f"Covalent's configuration {path} cannot be read: {reason_of(exc, path)}."
        ) from exc
    return content


def invalid_file(reason: Exception, path: Path | None = None) -> ConfigurationError:
    """Return the error for a configuration file that is not valid TOML."""
    path = path or configuration_file()
    heading = f"[{SECTION}]"
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    places = [number for number, line in enumerate(lines, 1) if line.strip() == heading]
    hint = "Correct it in an editor; 'covalent-lambda config set' then changes it safely."
    if len(places) > 1:
        hint = (
            f"The section {heading} begins on lines {' and '.join(map(str, places))}: keep one, "
            "with all of its options. 'covalent-lambda config set NAME=VALUE' then changes it "
            "safely."
        )
    return ConfigurationError(
        f"Covalent's configuration {path} is not valid TOML{_where_and_why(reason)}.", hint=hint
    )


def _where_and_why(reason: Exception) -> str:
    """Return what a parser says, without what it quotes of the file, which may be a secret."""
    line = getattr(reason, "lineno", None)
    where = f" in line {line}" if line else ""
    why = _QUOTED.split(getattr(reason, "msg", ""), maxsplit=1)[0].strip(" .:?")
    return f"{where}: {why.removeprefix('What? ')}" if why else where


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically."""
    path = path.resolve()
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(draft).chmod(mode)
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
