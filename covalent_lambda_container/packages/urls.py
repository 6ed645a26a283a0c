"""URLs of packages and indexes: which may be written down, and how they are shown."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import urlsplit

INDEX_SCHEMES: Final = ("https", "http")
"""How an index, or a page of links, is reached."""
PACKAGE_SCHEMES: Final = (*INDEX_SCHEMES, "git+https", "git+http", "git+ssh")
"""How a single package is reached."""

CREDENTIALS_HINT: Final = (
    "Leave user name and password out, since they would be stored with the task and the image. "
    "Give them on the dispatcher's machine: in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, in ~/.netrc "
    "(for git servers, too), or in a keyring."
)

# What RFC 3986 lets stand in a URL, but for the quote, which quotes in a requirements file. Braces
# are not among it: pip and uv would replace "${NAME}" by a variable of the machine that installs.
_CHARACTERS = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&()*+,;=%]+")
# A password may hold anything but the space, also what ends a host in a URL that is well formed.
_USERINFO = re.compile(r"(?<=://)([^/\s?#]*|[^/\s]*:\S*)@")


class UnusableUrl(ValueError):
    """A URL that may not be written down; its message shows no credentials.

    Parameters
    ----------
    message
        What is wrong, to follow the name of whatever has the URL: ``"has a URL with …"``.
    hint
        What to do about it; empty where the message says all.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def checked_url(url: str, schemes: Collection[str]) -> str:
    """Return a URL with its host in lower case.

    Raises
    ------
    UnusableUrl
        When it has none of the schemes, no host, or credentials in it.
    """
    shown = without_credentials(url)
    if not _CHARACTERS.fullmatch(url):
        raise UnusableUrl(f"has a URL with characters that stand in no URL: {shown!r}")
    try:
        parts = urlsplit(url)
        # Asked for, since a wrong one is noticed only then.
        _ = parts.port
    except ValueError:
        raise UnusableUrl(f"has a URL that is not well formed: {shown}") from None
    if parts.scheme not in schemes or not parts.hostname:
        wanted = ", ".join(f"{scheme}://" for scheme in schemes)
        raise UnusableUrl(f"has the URL {shown}, which should begin with one of {wanted}")
    # An ssh server is told who comes, and asks for a key.
    if parts.password is not None or (parts.username is not None and parts.scheme != "git+ssh"):
        raise UnusableUrl(f"has credentials in its URL, {shown}", CREDENTIALS_HINT)
    revision = parts.path.partition("@")[2]
    # git would take these for options of its own.
    if any(part.startswith("-") for part in (parts.netloc, parts.hostname, revision)):
        raise UnusableUrl(f"has a URL with a part that begins with '-': {shown}")
    user, at, host = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{user}{at}{host.lower()}").geturl()


def without_credentials(text: str) -> str:
    """Return a text in which each URL shows ``…`` for its user name and password."""
    return _USERINFO.sub("…@", text)
