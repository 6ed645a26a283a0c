"""pip's configuration where there is no pip: the same files and variables, in the same order.

As "Configuration" of pip's documentation has it (read 2026-11), and as pip 25 does it.
"""

from __future__ import annotations

import configparser
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

_IGNORED: Final = ("version", "help")
"""Variables that pip does not take for options."""


def read_pip_files() -> Iterator[tuple[str, str, str]]:
    """Yield section, option and value of pip's configuration; later ones win.

    Variables are in the section ``:env:``. A file that cannot be read is reported and left out.
    """
    for path in _files():
        parser = configparser.RawConfigParser()
        try:
            with path.open(encoding="utf-8") as opened:
                parser.read_file(opened)
        except FileNotFoundError:
            continue
        except (OSError, UnicodeError, configparser.Error) as exc:
            # The error's own text may quote a line, and a password in it.
            log.warning(
                "pip's configuration in %s is not used: reading it ended with %s.",
                path,
                type(exc).__name__,
            )
            continue
        for section in parser.sections():
            for name, value in parser.items(section):
                yield section, _normalized(name), value
    for name, value in os.environ.items():
        option = name.removeprefix("PIP_").lower()
        if name.startswith("PIP_") and option not in _IGNORED:
            yield ":env:", _normalized(option), value


def _files() -> Iterator[Path]:
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return
    name = "pip.ini" if sys.platform == "win32" else "pip.conf"
    home = Path.home()
    if sys.platform == "darwin":
        yield Path("/Library/Application Support/pip", name)
    else:
        folders = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
        yield from (Path(folder, "pip", name) for folder in folders.split(os.pathsep))
        yield Path("/etc", name)
    if not (named and Path(named).exists()):
        yield home / ".pip" / name
        settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config", "pip")
        on_macos = home / "Library" / "Application Support" / "pip"
        yield (on_macos if sys.platform == "darwin" and on_macos.is_dir() else settings) / name
    yield Path(sys.prefix, name)
    if named:
        yield Path(named)


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("--")
