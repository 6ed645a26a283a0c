"""Credentials for the hosts of package indexes, and how URLs contain them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit


@dataclass(frozen=True, kw_only=True)
class Login:
    """Credentials for a host.

    Parameters
    ----------
    host
        Host name; with a port if the credentials are for that port only.
    username, password
        In plain form, not URL-encoded.
    scheme
        URL scheme that they are restricted to; empty for any.
    """

    host: str
    username: str
    password: str
    scheme: str = ""

    def __repr__(self) -> str:
        return f"Login(host={self.host!r}, …)"


def with_credentials(url: str, logins: Iterable[Login]) -> str:
    """Return a URL with the first of the credentials that are for its host."""
    parts = urlsplit(url)
    if not parts.netloc or "@" in parts.netloc:
        return url
    for login in logins:
        # A password given for https is never sent over plain http.
        fits = login.scheme in ("", parts.scheme)
        if fits and login.host in (parts.netloc.lower(), parts.hostname):
            userinfo = quote(login.username, safe="")
            if login.password:
                userinfo += f":{quote(login.password, safe='')}"
            return parts._replace(netloc=f"{userinfo}@{parts.netloc}").geturl()
    return url


def login_in(address: str) -> Login | None:
    """Return the credentials in an address; a proxy's may lack a scheme."""
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
    except ValueError:
        return None
    if parts.username is None:
        return None
    return Login(
        host=parts.netloc.rpartition("@")[2].lower(),
        username=unquote(parts.username),
        password=unquote(parts.password or ""),
        scheme=parts.scheme,
    )
