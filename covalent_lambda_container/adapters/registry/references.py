"""References of images, parsed as Docker does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_HUB: Final = "registry-1.docker.io"
_HUB_NAMES: Final = ("docker.io", "index.docker.io")
_LOOPBACK: Final = re.compile(r"(localhost|127(\.\d+){3}|\[::1\])(:\d+)?")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Where an image is.

    Parameters
    ----------
    host
        Registry's host and port, ``"localhost:5000"``.
    repository
        Path of the repository in the registry, ``"library/python"``.
    version
        A tag, or a ``sha256:…`` digest.
    """

    host: str
    repository: str
    version: str

    @property
    def url(self) -> str:
        """The registry's address; like Docker's, plain HTTP on this machine only."""
        return f"{'http' if _LOOPBACK.fullmatch(self.host) else 'https'}://{self.host}"


def parse(name: str) -> Reference:
    """Parse a reference: ``python:3.11-slim``, ``registry.example.com/team/root@sha256:…``."""
    path, _, digest = name.partition("@")
    host, slash, rest = path.partition("/")
    if not slash or not (set(host) & set(".:") or host == "localhost"):
        host, rest = _HUB, path if slash else f"library/{path}"
    elif host in _HUB_NAMES:
        host, rest = _HUB, rest if "/" in rest else f"library/{rest}"
    repository, colon, tag = rest.rpartition(":")
    if not colon:
        repository, tag = rest, "latest"
    return Reference(host=host, repository=repository, version=digest or tag)
