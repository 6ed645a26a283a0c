"""The address of the Docker engine.

It is resolved like by Docker's own command line: ``DOCKER_HOST``, or else the current Docker
context, or else the machine's socket. It is resolved only here, so that every part of this project,
and each process that it starts, uses the same engine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from docker.context import ContextAPI
from docker.utils.config import find_config_file

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.packages.logins import login_in
from covalent_lambda_container.packages.urls import without_credentials

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_DEFAULT_SOURCE: Final = "the default"


@dataclass(frozen=True, kw_only=True)
class EngineAddress:
    """The address of an engine.

    Attributes
    ----------
    host
        ``unix://PATH``, ``tcp://HOST:PORT``, ``ssh://USER@HOST`` or, on Windows, ``npipe://PATH``.
    source
        Setting that named it, for messages: ``"DOCKER_HOST"``.
    certificates
        Folder with ``ca.pem``, ``cert.pem`` and ``key.pem``; empty for a connection without TLS.
    verifies
        Whether the engine's certificate is checked.
    """

    host: str
    source: str
    certificates: str = ""
    verifies: bool = False

    def __post_init__(self) -> None:
        login = login_in(self.host) if "@" in self.host else None
        if login is not None and (login.password or not self.host.startswith("ssh:")):
            # Docker's library would quote it.
            raise ImageBuildError(
                f"{self.source} has a user or a password in the engine's address, "
                f"{without_credentials(self.host)}: Docker's API knows neither.",
                hint="Use ssh://USER@HOST with a key, or tcp://HOST:PORT with certificates "
                "(DOCKER_TLS_VERIFY, DOCKER_CERT_PATH).",
            )

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make any Docker client in a child process use this engine."""
        return {
            "DOCKER_HOST": self.host,
            "DOCKER_CERT_PATH": self.certificates,
            "DOCKER_TLS_VERIFY": "1" if self.verifies else "",
        }

    @property
    def is_chosen(self) -> bool:
        """Whether a setting names the engine, rather than the default."""
        return self.source != _DEFAULT_SOURCE

    @property
    def is_local(self) -> bool:
        """Whether the engine is reached through a socket in this machine's file system."""
        return self.host.startswith(("unix:", "npipe:", "http+unix:"))

    def __str__(self) -> str:
        return f"{self.host} ({self.source})"


def engine_address(environment: Mapping[str, str] = os.environ) -> EngineAddress:
    """Return the address of the engine that Docker's own command line would use.

    Raises
    ------
    ImageBuildError
        The selected Docker context does not exist or cannot be read, or the address has a password.
    """
    if host := environment.get("DOCKER_HOST"):
        certificates = environment.get("DOCKER_CERT_PATH", "")
        verifies = bool(environment.get("DOCKER_TLS_VERIFY"))
        if verifies and not certificates:
            certificates = str(Path("~/.docker").expanduser())
        return EngineAddress(
            host=host, source="DOCKER_HOST", certificates=certificates, verifies=verifies
        )
    name, source = _context_name(environment)
    if name == "default":
        return EngineAddress(host=DEFAULT_HOST, source=_DEFAULT_SOURCE)
    try:
        context = ContextAPI.get_context(name)
        host = context.Host if context else None
    # docker-py raises a bare Exception for a file that it cannot read.
    except Exception as exc:
        raise _no_context(name, source, f"cannot be read: {exc}") from exc
    if not host:
        raise _no_context(name, source, "does not exist" if not context else "names no engine")
    folder = Path(context.tls_path) / "docker"
    return EngineAddress(
        host=host,
        source=f"Docker context {name!r}, from {source}",
        certificates=str(folder) if folder.is_dir() else "",
        verifies=folder.is_dir() and not context.endpoints["docker"].get("SkipTLSVerify"),
    )


def _context_name(environment: Mapping[str, str]) -> tuple[str, str]:
    """Return the name of the current Docker context, and the setting that names it."""
    if name := environment.get("DOCKER_CONTEXT"):
        return name, "DOCKER_CONTEXT"
    file = find_config_file()
    if not file:
        return "default", ""
    try:
        name = json.loads(Path(str(file)).read_text("utf-8")).get("currentContext")
    # Docker's command line ignores a configuration that it cannot read.
    except (OSError, ValueError, AttributeError):
        return "default", ""
    return name or "default", str(file)


def _no_context(name: str, source: str, what: str) -> ImageBuildError:
    return ImageBuildError(
        f"Docker context {name!r}, which {source} names, {what}.",
        hint="'docker context ls' lists the contexts. Choose one with 'docker context use NAME', "
        "or set DOCKER_HOST.",
    )
