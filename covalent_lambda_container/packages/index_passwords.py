"""Looks up passwords for indexes whose addresses name only a user.

Installers in a container can use neither netrc nor a keyring.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import quote, urlsplit

from covalent_lambda_container.packages.index_settings import IndexSettings, without_name
from covalent_lambda_container.packages.logins import Login, login_in, with_credentials


def with_passwords(
    settings: IndexSettings, ask: Callable[[str, str], str] | None = None
) -> IndexSettings:
    """Return settings with passwords for the addresses that name only a user.

    Parameters
    ----------
    ask
        Returns the password for a URL without credentials and a user, or ``""``. Called for
        passwords that the settings lack; None if they cannot be looked up.
    """
    logins = settings.known_logins
    variables = dict(settings.variables)

    def completed(address: str) -> str:
        url = without_name(address)
        login = login_in(url)
        user = login.username if login else _user_of(address, variables)
        if not user or (login and login.password) or not url.startswith(("https://", "http://")):
            return address
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        named = parts._replace(netloc=f"{quote(user, safe='')}@{host}").geturl()
        found = with_credentials(named, logins)
        if found == named and ask and (password := ask(parts._replace(netloc=host).geturl(), user)):
            own = Login(host=host.lower(), username=user, password=password)
            found = with_credentials(named, [own])
        return address if found == named else address.replace(url, found)

    return replace(
        settings,
        index_url=completed(settings.index_url),
        extra_index_urls=tuple(map(completed, settings.extra_index_urls)),
        find_links=tuple(map(completed, settings.find_links)),
    )


def _user_of(address: str, variables: Mapping[str, str]) -> str:
    """Return the user that uv's variables set for a named index without a password."""
    name = address.removesuffix(without_name(address)).removesuffix("=")
    prefix = "UV_INDEX_" + re.sub("[^A-Z0-9]", "_", name.upper())
    if not name or f"{prefix}_PASSWORD" in variables:
        return ""
    return variables.get(f"{prefix}_USERNAME", "")
