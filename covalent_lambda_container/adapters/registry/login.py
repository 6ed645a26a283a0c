"""The Authorization header of a registry's requests, as its challenges ask for it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any, Final

import requests
from requests.utils import parse_dict_header

from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.ports.registry import RegistryLogin

_TIMEOUT_S: Final = 30


class Authorization(requests.auth.AuthBase):
    """Adds the header to requests, and makes a new one when the registry refuses the old one.

    Parameters
    ----------
    repository
        Path of the repository in the registry.
    find_login
        Returns fresh credentials, or None where there are none: then access is anonymous.
    """

    def __init__(self, repository: str, find_login: Callable[[], RegistryLogin | None]) -> None:
        self._repository = repository
        self._find_login = find_login
        self._header = ""

    def __call__(self, request: Any) -> Any:
        """Sign a request; called by requests, which otherwise looks into ``~/.netrc``."""
        if self._header:
            request.headers["Authorization"] = self._header
        return request

    def renew(
        self, challenge: str, session: requests.Session, *, push: bool, verify: str | None
    ) -> requests.Response | None:
        """Make a new header for a ``WWW-Authenticate`` challenge.

        Parameters
        ----------
        verify
            Path of a PEM file with authorities to trust; None: those of the environment.

        Returns
        -------
        Response or None
            The token service's refusal.

        Raises
        ------
        RegistryError
            When the registry asks for a scheme that is not known, or gives no token.
        """
        scheme, _, rest = challenge.partition(" ")
        login = self._find_login()
        if scheme.lower() == "basic":
            self._header = _basic(login) if login else ""
            return None
        details: dict[str, str] = parse_dict_header(rest)  # type: ignore[no-untyped-call]
        if scheme.lower() != "bearer" or "realm" not in details:
            raise RegistryError(f"The registry asks for a login of an unknown kind: {scheme!r}.")
        parameters = {
            "service": details.get("service", ""),
            "scope": f"repository:{self._repository}:{'pull,push' if push else 'pull'}",
        }
        headers = {"Authorization": _basic(login)} if login else {}
        answer = session.get(
            details["realm"],
            params=parameters,
            headers=headers,
            timeout=_TIMEOUT_S,
            auth=_keep,
            verify=verify,
        )
        if not answer.ok:
            return answer
        token = _token(answer)
        if not token:
            raise RegistryError("The registry's token service answered without a token.")
        self._header = f"Bearer {token}"
        return None


def _keep(request: Any) -> Any:
    """Leave a request's own header as it is."""
    return request


def _basic(login: RegistryLogin) -> str:
    text = f"{login.username}:{login.password}"
    return f"Basic {base64.b64encode(text.encode()).decode()}"


def _token(answer: requests.Response) -> str:
    try:
        content = answer.json()
    except ValueError:
        return ""
    found = content.get("token") or content.get("access_token") if content else ""
    return found if isinstance(found, str) else ""
