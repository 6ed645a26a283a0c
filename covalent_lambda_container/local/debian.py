"""Installs packages of the machine itself, on Debian and its derivatives as root."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from covalent_lambda_container.errors import LocalStackError

_INSTALL_TIMEOUT_S: Final = 900
_TAIL_LINES: Final = 10


def can_install() -> bool:
    """Whether this process may install packages: as root on Debian, Ubuntu or the like."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:  # no such file on other systems
        return False
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    return (
        bool(family & {"debian", "ubuntu"})
        and os.geteuid() == 0
        and shutil.which("apt-get") is not None
    )


def install(packages: Sequence[str], report: Callable[[str], None]) -> None:
    """Install packages from the machine's own sources.

    Raises
    ------
    LocalStackError
        ``apt-get install`` failed; the end of its output is in the message.
    """
    names = " ".join(packages)
    report(f"Installing {names} with apt-get")
    # One of several sources may be down, and the packages may still be found: install decides.
    updated = _apt_get("update")
    installed = _apt_get("install", "-y", "--no-install-recommends", *packages)
    if installed.returncode != 0:
        lines = [line for run in (updated, installed) for line in run.stdout.splitlines()]
        raise LocalStackError(
            f"apt-get could not install {names}:\n" + "\n".join(lines[-_TAIL_LINES:]),
            hint="Install them manually, then try again.",
        )


def _apt_get(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=60", *arguments],  # noqa: S607
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=_INSTALL_TIMEOUT_S,
        check=False,
    )
