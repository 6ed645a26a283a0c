"""How an installer reaches its package index; nothing of it is in a finished image."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True, kw_only=True)
class InstallSettings:
    """What installing needs beside the requirements.

    Parameters
    ----------
    ca_bundle
        PEM text of the certificate authorities to trust, or None for the installer's own.
    """

    ca_bundle: bytes | None = None

    def environment(self, ca_file: str) -> dict[str, str]:
        """Return variables for an installer, uv or pip.

        Parameters
        ----------
        ca_file
            Where it finds `ca_bundle`.
        """
        if self.ca_bundle is None:
            return {}
        return {"SSL_CERT_FILE": ca_file, "PIP_CERT": ca_file}


def proxies() -> dict[str, str]:
    """Return the variables of the dispatcher's proxies, in both spellings."""
    variables = {}
    for name in _PROXIES:
        value = os.environ.get(name) or os.environ.get(name.lower())
        if value:
            variables[name] = variables[name.lower()] = value
    return variables
