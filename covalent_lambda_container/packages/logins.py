"""Credentials for the hosts of package indexes, and how URLs contain them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote, urlsplit

ANY_HOST: Final = "*"
"""Host of credentials for every host, such as those of netrc's entry ``default``."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """Credentials for a host.

    Parameters
    ----------
    host
        Host name, with a port if the credentials are for that port only; or `ANY_HOST`.
    username, password
        Plain text, not URL-encoded.
    scheme
        URL scheme to which they are restricted; empty for any.
    """

    host: str
    username: str
    password: str
    scheme: str = ""

    def __repr__(self) -> str:
        return f"Login(host={self.host!r}, …)"


def with_credentials(url: str, logins: Iterable[Login]) -> str:
    """Return a URL with the first credentials for its host.

    A URL that names a user only gets the password of this user.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if not parts.netloc or parts.password:
        return url
    host = parts.netloc.rpartition("@")[2]
    user = unquote(parts.username or "")
    for login in logins:
        # A password given for https is never sent over plain http.
        fits = login.scheme in ("", parts.scheme) and (
            login.username == user and bool(login.password) if user else True
        )
        if fits and login.host in (host.lower(), parts.hostname, ANY_HOST):
            userinfo = quote(login.username, safe="")
            if login.password:
                userinfo += f":{quote(login.password, safe='')}"
            return parts._replace(netloc=f"{userinfo}@{host}").geturl()
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


def git_environment(logins: Iterable[Login], repositories: Iterable[str]) -> dict[str, str]:
    """Return environment variables that give git the credentials for some repositories only.

    Parameters
    ----------
    repositories
        URLs of requirements: ``"git+https://…"``.
    """
    known_logins = [login for login in logins if login.password]
    parts = [urlsplit(url.removeprefix("git+")) for url in repositories]
    servers = sorted({f"{p.scheme}://{p.netloc}/" for p in parts if p.scheme in ("https", "http")})
    known = {server: with_credentials(server, known_logins) for server in servers}
    rules = [(server, url) for server, url in known.items() if url != server]
    variables = {"GIT_CONFIG_COUNT": str(len(rules))} if rules else {}
    for number, (server, url) in enumerate(rules):
        # git replaces prefixes of addresses, so rules are for whole servers only.
        variables[f"GIT_CONFIG_KEY_{number}"] = f"url.{url}.insteadOf"
        variables[f"GIT_CONFIG_VALUE_{number}"] = server
    return variables
