"""Settings with which an installer reaches its package indexes; images contain none of them."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

from covalent_lambda_container.packages.logins import ANY_HOST, Login, login_in, with_credentials
from covalent_lambda_container.packages.urls import without_credentials

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
_SHORTEST_SECRET: Final = 4
"""Fewest characters of a redacted secret: shorter strings occur everywhere by chance."""
_PIP_VARIABLES: Final = {
    "UV_INSECURE_HOST": "PIP_TRUSTED_HOST",
    "UV_HTTP_TIMEOUT": "PIP_DEFAULT_TIMEOUT",
    "UV_HTTP_RETRIES": "PIP_RETRIES",
}
"""pip's equivalents of uv's variables."""
_REMOTE: Final = ("https://", "http://")
PACKAGE_INDEX: Final = "--package-index"
"""Option of requirements, not known to pip: ``NAME=URL``, the only index of a package."""
_OF_THIS_MACHINE: Final = ("UV_KEYRING_PROVIDER", "SSL_CLIENT_CERT")
"""Variables that refer to a program or file of this machine."""


@dataclass(frozen=True, kw_only=True)
class IndexSettings:
    """Settings for reaching package indexes.

    An instance may hold passwords. It exists during one build, its ``repr`` shows none of them, and
    it is never stored.

    Parameters
    ----------
    ca_bundle
        Certificate authorities to trust, as PEM text; None for the installer's own.
    index_url
        URL of the index; empty for the installer's default. Like the other addresses, it may
        contain credentials, and may be a ``file:`` URL.
    extra_index_urls
        URLs of further indexes.
    package_indexes
        Pairs of a package and the URL of the index that it comes from, and no other package.
    find_links
        URLs of pages with links to packages, or folders of this machine.
    variables
        Further variables for uv, as pairs of name and value.
    proxies
        ``HTTP_PROXY`` and the like, in both cases, as pairs of name and value.
    logins
        Credentials from this machine's netrc file.
    client_certificate
        Certificate and key with which the installer identifies itself, as PEM text; None for none.
    """

    ca_bundle: bytes | None = None
    index_url: str = ""
    extra_index_urls: tuple[str, ...] = ()
    package_indexes: tuple[tuple[str, str], ...] = ()
    find_links: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    logins: tuple[Login, ...] = ()
    client_certificate: bytes | None = None

    def __repr__(self) -> str:
        shown = ", ".join(map(without_credentials, filter(None, self._addresses)))
        return f"IndexSettings({shown})"

    def joined(self, options: Iterable[str]) -> IndexSettings:
        """Return the settings extended by the pip options of some requirements.

        Parameters
        ----------
        options
            Canonical options; those other than addresses are ignored. An address gets the
            credentials that these settings have for its host.
        """
        given: dict[str, list[str]] = {}
        bound = dict(self.package_indexes)
        for line in options:
            option, _, value = line.partition(" ")
            if option == PACKAGE_INDEX:
                name, _, url = value.partition("=")
                bound[name] = with_credentials(url, self.known_logins)
                continue
            given.setdefault(option, []).append(with_credentials(value, self._logins_of_urls))
        index_urls = given.get("--index-url", [])
        extra = (*given.get("--extra-index-url", ()), *self.extra_index_urls)
        return replace(
            self,
            index_url=index_urls[0] if index_urls else self.index_url,
            extra_index_urls=tuple(dict.fromkeys(extra)),
            package_indexes=tuple(bound.items()),
            find_links=tuple(dict.fromkeys((*given.get("--find-links", ()), *self.find_links))),
        )

    def without_local_mirrors(self) -> IndexSettings:
        """Return the settings without the further indexes that are folders of this machine."""
        remote = tuple(url for url in self.extra_index_urls if not url.startswith("file:"))
        return replace(self, extra_index_urls=remote)

    def uv_environment(self, ca_file: str) -> dict[str, str]:
        """Return environment variables for uv on this machine; they override inherited ones.

        Parameters
        ----------
        ca_file
            Path of a file that contains `ca_bundle`.
        """
        variables = {
            "UV_DEFAULT_INDEX": self.index_url,
            "UV_INDEX": " ".join(self.extra_index_urls),
            "UV_FIND_LINKS": ",".join(self.find_links),
            # Older names, which may be in the environment; empty values count as unset.
            "UV_INDEX_URL": "",
            "UV_EXTRA_INDEX_URL": "",
            **dict(self.variables),
            **dict(self.proxies),
        }
        if self.ca_bundle is not None:
            variables["SSL_CERT_FILE"] = ca_file
        return variables

    def pip_environment(self, ca_file: str, client_file: str) -> dict[str, str]:
        """Return environment variables for pip in a container, which sees no file of this machine.

        Parameters
        ----------
        ca_file, client_file
            Paths, in the container, of files that contain `ca_bundle` and `client_certificate`.
        """
        logins = self.known_logins

        def reachable(*addresses: str) -> str:
            remote = [url for url in addresses if url.startswith(_REMOTE)]
            return " ".join(with_credentials(url, logins) for url in remote)

        variables = {
            "PIP_INDEX_URL": reachable(self.index_url),
            "PIP_EXTRA_INDEX_URL": reachable(*map(without_name, self.extra_index_urls)),
            "PIP_FIND_LINKS": reachable(*self.find_links),
            **{_PIP_VARIABLES[name]: v for name, v in self.variables if name in _PIP_VARIABLES},
            **dict(self.proxies),
        }
        if self.ca_bundle is not None:
            # GIT_SSL_CAINFO is for git, which pip calls.
            variables |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "GIT_SSL_CAINFO"), ca_file)
        if self.client_certificate is not None:
            variables["PIP_CLIENT_CERT"] = client_file
        return {name: value for name, value in variables.items() if value}

    def container_environment(self, ca_file: str, client_file: str) -> dict[str, str]:
        """Return environment variables for uv in a container, which sees no file of this machine.

        Parameters
        ----------
        ca_file, client_file
            Paths, in the container, of files that contain `ca_bundle` and `client_certificate`.
        """
        logins = self.known_logins

        def reachable(addresses: Iterable[str]) -> Iterator[str]:
            for address in addresses:
                url = without_name(address)
                if url.startswith(_REMOTE):
                    yield address.replace(url, with_credentials(url, logins))

        variables = {
            "UV_DEFAULT_INDEX": "".join(reachable([self.index_url])),
            "UV_INDEX": " ".join(reachable(self.extra_index_urls)),
            "UV_FIND_LINKS": ",".join(reachable(self.find_links)),
            **{name: v for name, v in self.variables if name not in _OF_THIS_MACHINE},
            **dict(self.proxies),
        }
        if self.ca_bundle is not None:
            # GIT_SSL_CAINFO is for git, PIP_CERT and REQUESTS_CA_BUNDLE for builds that download.
            names = ("SSL_CERT_FILE", "GIT_SSL_CAINFO", "PIP_CERT", "REQUESTS_CA_BUNDLE")
            variables |= dict.fromkeys(names, ca_file)
        if self.client_certificate is not None:
            # For uv, and for builds that download with pip.
            variables |= dict.fromkeys(("SSL_CLIENT_CERT", "PIP_CLIENT_CERT"), client_file)
        return {name: value for name, value in variables.items() if value}

    def redacted(self, text: str) -> str:
        """Return a text with all passwords replaced by ``…``."""
        text = without_credentials(text)
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, "…")
        return text

    @property
    def _addresses(self) -> Iterator[str]:
        yield self.index_url
        yield from map(without_name, self.extra_index_urls)
        yield from (url for _, url in self.package_indexes)
        yield from self.find_links

    @property
    def known_logins(self) -> list[Login]:
        """All credentials; those that addresses contain come first."""
        return [*self._logins_of_urls, *self.logins]

    @property
    def _logins_of_urls(self) -> list[Login]:
        """Return the credentials that addresses contain."""
        return [login for address in self._addresses if (login := login_in(address))]

    @property
    def _logins_of_variables(self) -> Iterator[Login]:
        """Yield the credentials of uv's named indexes."""
        known = dict(self.variables)
        for name, value in self.variables:
            if name.endswith("_PASSWORD"):
                user = known.get(name.removesuffix("_PASSWORD") + "_USERNAME", "")
                yield Login(host=ANY_HOST, username=user, password=value)

    @property
    def _secrets(self) -> set[str]:
        """Return all secrets, in each encoding in which a text may contain them."""
        proxies = [login for _, value in self.proxies if (login := login_in(value))]
        logins = (*self._logins_of_urls, *self.logins, *proxies, *self._logins_of_variables)
        secrets = {form for login in logins for form in _forms(login)}
        return {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}


def _forms(login: Login) -> set[str]:
    """Return the secret of a login in each form in which a text may contain it.

    A server may repeat what it was sent, and installers quote its answers and addresses.
    """
    # A user name without a password may be a token.
    secret = login.password or login.username
    pair = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    escaped = {json.dumps(secret, ensure_ascii=ascii_only)[1:-1] for ascii_only in (True, False)}
    return escaped | {secret, quote(secret, safe=""), quote(secret), pair, quote(pair, safe="")}


def without_local_sources(settings: IndexSettings) -> IndexSettings | None:
    """Return settings without folders of this machine; None if the index itself is one."""
    if settings.index_url.startswith("file:"):
        return None
    extra, pages = settings.extra_index_urls, settings.find_links
    return replace(
        settings,
        extra_index_urls=tuple(url for url in extra if without_name(url).startswith(_REMOTE)),
        find_links=tuple(url for url in pages if url.startswith(_REMOTE)),
    )


def proxies(default: str = "") -> dict[str, str]:
    """Return the environment variables of the dispatcher's proxies, in upper and lower case.

    Parameters
    ----------
    default
        Proxy to use if the environment sets none.
    """
    variables = {}
    for name in _PROXIES:
        value = os.environ.get(name) or os.environ.get(name.lower())
        value = value or (default if name != "NO_PROXY" else "")
        if value:
            # Programs differ in which case they read.
            variables[name] = variables[name.lower()] = value
    return variables


def without_name(address: str) -> str:
    """Return the URL of an index, which may have a name as in uv: ``"corp=https://…"``."""
    name, equals, url = address.partition("=")
    return url if equals and "/" not in name else address
