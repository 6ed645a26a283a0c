"""URLs of packages and indexes: those allowed in requirements, and how they are displayed."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

INDEX_SCHEMES: Final = ("https", "http")
"""Schemes of an index or a page of links."""
PACKAGE_SCHEMES: Final = (*INDEX_SCHEMES, "git+https", "git+http", "git+ssh")
"""Schemes of a single package."""

CREDENTIALS_HINT: Final = (
    "Remove user name and password, since they would be stored with the task and the image. "
    "Set them on the dispatcher's machine: in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, in ~/.netrc "
    "(for git servers, too), or in a keyring."
)

# The characters of RFC 3986 except for the quote, which has a meaning in requirements files. Braces
# are excluded because pip and uv replace "${NAME}" by an environment variable.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&()*+,;=%]+")
# A password may contain anything but spaces, even characters that would end the host.
_USERINFO = re.compile(r"(?<=://)([^/\s?#]*|[^/\s]*:\S*)@")


_LOGIN = re.compile(r"^\S+@(?!sha256:)")


class UnusableUrl(ValueError):
    """A URL that requirements may not contain; the message shows no credentials.

    Parameters
    ----------
    message
        The problem, phrased to follow the name of the object with the URL: ``"has a URL with …"``.
    hint
        Advice; empty if the message is enough.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def checked_url(url: str, schemes: Collection[str]) -> str:
    """Return a URL with its host in lower case.

    Raises
    ------
    UnusableUrl
        It has a different scheme, no host, or credentials.
    """
    shown = without_credentials(url)
    if not _CHARACTERS.fullmatch(url):
        raise UnusableUrl(f"has a URL with invalid characters: {shown!r}")
    try:
        parts = urlsplit(url)
        # urlsplit checks the port only when it is read.
        _ = parts.port
    except ValueError:
        raise UnusableUrl(f"has a URL that is not well formed: {shown}") from None
    if parts.scheme not in schemes or not parts.hostname:
        wanted = ", ".join(f"{scheme}://" for scheme in schemes)
        raise UnusableUrl(f"has the URL {shown}, which should begin with one of {wanted}")
    # For ssh, the user name is not secret: the server requires a key.
    if parts.password is not None or (parts.username is not None and parts.scheme != "git+ssh"):
        raise UnusableUrl(f"has credentials in its URL, {shown}", CREDENTIALS_HINT)
    revision = parts.path.partition("@")[2]
    # git would parse these as options.
    if any(part.startswith("-") for part in (parts.netloc, parts.hostname, revision)):
        raise UnusableUrl(f"has a URL with a part that begins with '-': {shown}")
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{host.lower()}").geturl()


def without_login(reference: object) -> object:
    """Return an image's reference without the login that it begins with; other values unchanged.

    References have no scheme, and what follows their ``@`` is a digest.
    """
    return _LOGIN.sub("…@", reference) if isinstance(reference, str) else reference


def without_credentials(text: str) -> str:
    """Return a text with the user name and password of each URL replaced by ``…``."""
    return _USERINFO.sub("…@", text)
