"""How an installer reaches its package indexes; nothing of it is in a finished image."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from covalent_lambda_container.packages.urls import without_credentials

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_SHORTEST_SECRET: Final = 4
"""Characters; what is shorter stands in every other line, and says nothing there."""
_PIP_VARIABLES: Final = {
    "UV_INSECURE_HOST": "PIP_TRUSTED_HOST",
    "UV_HTTP_TIMEOUT": "PIP_DEFAULT_TIMEOUT",
    "UV_HTTP_RETRIES": "PIP_RETRIES",
}
"""pip's names for variables of uv."""


@dataclass(frozen=True, kw_only=True)
class Login:
    """Credentials for a host.

    Parameters
    ----------
    host
        Its name; with its port where the credentials are for that port only.
    username, password
        As they are, not as in a URL.
    scheme
        The only one for which they are; empty if they are for any.
    """

    host: str
    username: str
    password: str
    scheme: str = ""

    def __repr__(self) -> str:
        return f"Login(host={self.host!r}, …)"


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """What installing needs beside the requirements.

    A value of this class may hold passwords. It is made for one build, shows none of them, and is
    stored nowhere.

    Parameters
    ----------
    ca_bundle
        PEM text of the certificate authorities to trust, or None for the installer's own.
    index_url
        Where packages are looked for; empty for the installer's default. It may hold credentials,
        as may the others, and be a ``file:`` URL.
    extra_index_urls
        Where they are looked for as well.
    find_links
        URLs, or folders of this machine, with links to packages.
    variables
        Further variables of uv, as names and values.
    proxies
        ``HTTP_PROXY`` and the like, in both spellings, as names and values.
    logins
        Credentials of this machine's netrc file.
    """

    ca_bundle: bytes | None = None
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    find_links: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    logins: tuple[Login, ...] = ()

    def __repr__(self) -> str:
        shown = ", ".join(map(without_credentials, filter(None, self._addresses)))
        return f"InstallSettings({shown})"

    def joined(self, options: Iterable[str]) -> IndexSettings:
        """Return the settings for requirements that come with options of pip.

        Parameters
        ----------
        options
            Canonical options; those that are no addresses are left out. An address among them gets
            the credentials that one of these settings' has for the same host.
        """
        given: dict[str, list[str]] = {}
        for line in options:
            option, _, value = line.partition(" ")
            given.setdefault(option, []).append(self._with_credentials(value, self._logins_of_urls))
        index_urls = given.get("--index-url", [])
        extra = (*given.get("--extra-index-url", ()), *self.extra_index_urls)
        return replace(
            self,
            index_url=index_urls[0] if index_urls else self.index_url,
            extra_index_urls=tuple(dict.fromkeys(extra)),
            find_links=tuple(dict.fromkeys((*given.get("--find-links", ()), *self.find_links))),
        )

    def without_local_mirrors(self) -> IndexSettings:
        """Return the settings without further indexes that are folders of this machine."""
        remote = tuple(url for url in self.extra_index_urls if not url.startswith("file:"))
        return replace(self, extra_index_urls=remote)

    def uv_environment(self, ca_file: str) -> dict[str, str]:
        """Return variables for uv on this machine; they replace all that are there of their kind.

        Parameters
        ----------
        ca_file
            Where uv finds `ca_bundle`.
        """
        variables = {
            "UV_DEFAULT_INDEX": self.index_url,
            "UV_INDEX": " ".join(self.extra_index_urls),
            "UV_FIND_LINKS": ",".join(self.find_links),
            # Older names of the same, which the environment may have. Empty means: not given.
            "UV_INDEX_URL": "",
            "UV_EXTRA_INDEX_URL": "",
            **dict(self.variables),
            **dict(self.proxies),
        }
        if self.ca_bundle is not None:
            variables["SSL_CERT_FILE"] = ca_file
        return variables

    def pip_environment(self, ca_file: str) -> dict[str, str]:
        """Return variables for pip on another system, which has no file or netrc of this machine.

        Parameters
        ----------
        ca_file
            Where pip finds `ca_bundle`.
        """
        logins = [*self._logins_of_urls, *self.logins]

        def reachable(*addresses: str) -> str:
            remote = [url for url in addresses if url.startswith(("https://", "http://"))]
            return " ".join(self._with_credentials(url, logins) for url in remote)

        variables = {
            "PIP_INDEX_URL": reachable(self.index_url),
            "PIP_EXTRA_INDEX_URL": reachable(*map(_without_name, self.extra_index_urls)),
            "PIP_FIND_LINKS": reachable(*self.find_links),
            **{_PIP_VARIABLES[name]: v for name, v in self.variables if name in _PIP_VARIABLES},
            **dict(self.proxies),
        }
        if self.ca_bundle is not None:
            # git, which pip calls, has a name of its own for it.
            variables |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "GIT_SSL_CAINFO"), ca_file)
        return {name: value for name, value in variables.items() if value}

    def redacted(self, text: str) -> str:
        """Return what an installer said without any of the passwords."""
        text = without_credentials(text)
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        return text

    def git_environment(self, repositories: Iterable[str]) -> dict[str, str]:
        """Return variables by which git has the credentials for repositories, and no others.

        Parameters
        ----------
        repositories
            URLs of requirements: ``"git+https://…"``.
        """
        logins = [login for login in (*self._logins_of_urls, *self.logins) if login.password]
        parts = [urlsplit(url.removeprefix("git+")) for url in repositories]
        servers = sorted({f"{each.scheme}://{each.netloc}/" for each in parts})
        known = {server: self._with_credentials(server, logins) for server in servers}
        rules = [(server, url) for server, url in known.items() if url != server]
        variables = {"GIT_CONFIG_COUNT": str(len(rules))} if rules else {}
        for number, (server, url) in enumerate(rules):
            # Whole servers only: what is replaced is the beginning of an address.
            variables[f"GIT_CONFIG_KEY_{number}"] = f"url.{url}.insteadOf"
            variables[f"GIT_CONFIG_VALUE_{number}"] = server
        return variables

    @property
    def _addresses(self) -> Iterator[str]:
        yield self.index_url
        yield from map(_without_name, self.extra_index_urls)
        yield from self.find_links

    @property
    def _logins_of_urls(self) -> list[Login]:
        """Return the credentials that stand in addresses."""
        return [login for address in self._addresses if (login := _login(address))]

    @property
    def _secrets(self) -> set[str]:
        """Return what must not be shown, in the forms in which it may stand in a text."""
        proxies = [login for _, value in self.proxies if (login := _login(value))]
        secrets = {value for name, value in self.variables if name.endswith("_PASSWORD")}
        for login in (*self._logins_of_urls, *self.logins, *proxies):
            # A user name without a password may be a token.
            secret = login.password or login.username
            pair = f"{login.username}:{login.password}".encode()
            secrets |= {secret, quote(secret, safe=""), base64.b64encode(pair).decode()}
        return {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}

    @staticmethod
    def _with_credentials(url: str, logins: Iterable[Login]) -> str:
        parts = urlsplit(url)
        if not parts.netloc or "@" in parts.netloc:
            return url
        for login in logins:
            # A password that is given for https goes over no connection that others can read.
            fits = login.scheme in ("", parts.scheme)
            if fits and login.host in (parts.netloc.lower(), parts.hostname):
                userinfo = quote(login.username, safe="")
                if login.password:
                    userinfo += f":{quote(login.password, safe='')}"
                return parts._replace(netloc=f"{userinfo}@{parts.netloc}").geturl()
        return url


def proxies(default: str = "") -> dict[str, str]:
    """Return the variables of the dispatcher's proxies, in both spellings.

    Parameters
    ----------
    default
        A proxy for what the environment names none for.
    """
    variables = {}
    for name in _PROXIES:
        value = os.environ.get(name) or os.environ.get(name.lower())
        value = value or (default if name != "NO_PROXY" else "")
        if value:
            # Some programs know the one spelling, some the other.
            variables[name] = variables[name.lower()] = value
    return variables


def _without_name(address: str) -> str:
    """Return the URL of an index to which uv may have a name: ``"corp=https://…"``."""
    name, equals, url = address.partition("=")
    return url if equals and "/" not in name else address


def _login(address: str) -> Login | None:
    """Return the credentials in an address; that of a proxy may be without a scheme."""
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
