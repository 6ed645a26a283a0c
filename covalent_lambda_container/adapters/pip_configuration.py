"""This machine's index settings: from environment, netrc, keyring and pip's configuration.

uv itself reads the environment and netrc, but not pip's configuration, which most machines use.
"""

from __future__ import annotations

import ast
import importlib.util
import logging
import netrc
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from covalent_lambda_container.errors import ConfigurationError, reason_of
from covalent_lambda_container.packages.index_passwords import with_passwords
from covalent_lambda_container.packages.index_settings import IndexSettings, proxies
from covalent_lambda_container.packages.logins import ANY_HOST, Login
from covalent_lambda_container.packages.pip_files import read_pip_files

log = logging.getLogger(__name__)

_CA_VARIABLES: Final = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_UV_VARIABLES: Final = {
    "trusted-host": "UV_INSECURE_HOST",
    "client-cert": "SSL_CLIENT_CERT",
    "default-timeout": "UV_HTTP_TIMEOUT",
    "timeout": "UV_HTTP_TIMEOUT",
    "retries": "UV_HTTP_RETRIES",
}
"""uv's variables for some of pip's options ("pip install", pip's documentation; "Environment
variables", uv's reference; both read 2026-11)."""
_SECTIONS: Final = ("global", "install", ":env:")
"""Sections of pip's configuration for ``pip install``; later ones take precedence ("Configuration",
pip's documentation, read 2026-11)."""
_TRUE: Final = ("y", "yes", "t", "true", "on", "1")
_PIP_LIMIT_S: Final = 60
_KEYRING_LIMIT_S: Final = 60


def read_index_settings(
    *, index_url: str = "", extra_index_urls: tuple[str, ...] = (), ca_bundle: Path | None = None
) -> IndexSettings:
    """Return this machine's current settings for package indexes.

    Parameters
    ----------
    index_url, extra_index_urls, ca_bundle
        The executor's options. If one is unset, uv's variables apply, then pip's configuration.
        Credentials for the hosts of these options always come from there.
    """
    pip = _pip_configuration()
    extra = _variable("UV_INDEX", "UV_EXTRA_INDEX_URL") or pip.get("extra-index-url", "")
    pages = _variable("UV_FIND_LINKS")
    variables = _variables(pip)
    found = IndexSettings(
        ca_bundle=_ca_bundle(ca_bundle, pip),
        client_certificate=_client_certificate(variables.get("SSL_CLIENT_CERT")),
        index_url=_variable("UV_DEFAULT_INDEX", "UV_INDEX_URL") or pip.get("index-url", ""),
        extra_index_urls=tuple(extra.split()),
        find_links=tuple(
            map(_absolute, pages.split(",") if pages else pip.get("find-links", "").split())
        ),
        variables=tuple(variables.items()),
        proxies=tuple(proxies(pip.get("proxy", "")).items()),
        logins=_netrc_logins(),
    )
    # An installer in a container has no keyring.
    has_keyring = dict(found.variables).get("UV_KEYRING_PROVIDER") == "subprocess"
    found = with_passwords(found, _in_keyring if has_keyring else None)
    options = [f"--index-url {index_url}"] if index_url else []
    options += [f"--extra-index-url {url}" for url in extra_index_urls]
    return found.joined(options)


def _variables(pip: Mapping[str, str]) -> dict[str, str]:
    """Return variables that configure uv like pip; uv's own variables take precedence."""
    variables = {name: pip[option] for option, name in _UV_VARIABLES.items() if option in pip}
    if certificate := _variable("SSL_CLIENT_CERT"):
        variables["SSL_CLIENT_CERT"] = certificate
    if pip.get("no-index", "").lower() in _TRUE:
        variables["UV_NO_INDEX"] = "1"
    if pip.get("keyring-provider") != "disabled" and shutil.which("keyring"):
        variables["UV_KEYRING_PROVIDER"] = "subprocess"
    variables = {name: _variable(name) or value for name, value in variables.items()}
    # uv itself reads these; they are listed so that their values are redacted.
    return variables | {n: v for n, v in os.environ.items() if n.startswith("UV_INDEX_") and v}


def _variable(*names: str) -> str:
    """Return the first non-empty value of some environment variables, or ''."""
    return next(filter(None, map(os.environ.get, names)), "")


def _absolute(link: str) -> str:
    return link if "://" in link else str(Path(link).expanduser().absolute())


def _pip_configuration() -> dict[str, str]:
    """Return pip's options for an installation.

    Callers use only the options about indexes: pip's constraints, for example, would lead to
    different images for the same requirements.
    """
    values: dict[str, dict[str, str]] = {section: {} for section in _SECTIONS}
    for section, option, value in _configured():
        # To pip, an option without a value is one that is not set.
        if section in values and value:
            values[section][option] = value
    return {option: value for section in _SECTIONS for option, value in values[section].items()}


def _configured() -> list[tuple[str, str, str]]:
    """Return section, option and value of all that pip is configured with."""
    pip = [sys.executable, "-m", "pip"]
    if not importlib.util.find_spec("pip"):
        program = shutil.which("pip") or shutil.which("pip3")
        if program is None:
            return list(read_pip_files())
        pip = [program]
    try:
        listed = subprocess.run(
            [*pip, "config", "list"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PIP_LIMIT_S,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        # pip's own message may quote the configuration, and passwords in it.
        log.warning(
            "'pip config list' ended with %s: pip's files are read without it.",
            type(exc).__name__,
        )
        return list(read_pip_files())
    parts = [line.partition("=") for line in listed.splitlines()]
    return [
        (key.rpartition(".")[0], key.rpartition(".")[2], str(ast.literal_eval(value)))
        for key, equals, value in parts
        if equals
    ]


def _ca_bundle(given: Path | None, pip: Mapping[str, str]) -> bytes | None:
    """Return the certificate authorities that pip trusts, found the way pip and requests do."""
    named = (*map(os.environ.get, _CA_VARIABLES), pip.get("cert"))
    path = given or next((Path(each) for each in named if each and Path(each).is_file()), None)
    try:
        return path.read_bytes() if path else None
    except OSError as exc:
        raise ConfigurationError(
            f"The certificate authorities in {path} cannot be read: {reason_of(exc, path)}.",
            hint="Installing packages needs them: see the executor's option ca_bundle.",
        ) from exc


def _client_certificate(path: str | None) -> bytes | None:
    """Return the content of the file that pip's ``client-cert`` or uv's variable names."""
    try:
        return Path(path).expanduser().read_bytes() if path else None
    except OSError as exc:
        raise ConfigurationError(
            f"The client certificate in {path} cannot be read: {reason_of(exc, path)}.",
            hint="pip's client-cert or SSL_CLIENT_CERT names it: certificate and key, as PEM.",
        ) from exc


def _netrc_logins() -> tuple[Login, ...]:
    path = Path(_variable("NETRC") or "~/.netrc").expanduser()
    try:
        hosts = netrc.netrc(str(path)).hosts
    except (OSError, netrc.NetrcParseError):
        return ()
    return tuple(
        Login(host=ANY_HOST if host == "default" else host, username=username, password=word or "")
        for host, (username, _, word) in hosts.items()
    )


def _in_keyring(url: str, user: str) -> str:
    """Return a user's password from the keyring, or ``""``, as uv and pip look it up.

    It is stored under the URL of the index, without credentials, or else under the host ("Keyring
    Support", pip's documentation; "HTTP credentials", uv's; both read 2026-11).
    """
    program = shutil.which("keyring")
    if program is None:
        return ""
    for service in (url, urlsplit(url).netloc):
        try:
            ended = subprocess.run(
                [program, "get", service, user],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=os.environ | {"PYTHONIOENCODING": "utf-8"},
                encoding="utf-8",
                errors="replace",
                timeout=_KEYRING_LIMIT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as exc:
            # The exception's text may include output, which is the password.
            log.warning("The keyring is not used: 'keyring get' ended with %s.", type(exc).__name__)
            return ""
        if ended.returncode == 0 and (password := ended.stdout.rstrip("\r\n")):
            return password
    return ""
