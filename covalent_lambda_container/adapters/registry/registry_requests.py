"""Requests to a registry: logins, repetitions, and what refusals mean."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from covalent_lambda_container.adapters.registry.login import Authorization
from covalent_lambda_container.concurrency import cancellable
from covalent_lambda_container.concurrency.background import in_background
from covalent_lambda_container.errors import RegistryError

log = logging.getLogger(__name__)

Result = TypeVar("Result")

_TIMEOUTS_S: Final = (10, 120)
"""To connect, and between two pieces of an answer."""
_CONNECTIONS: Final = 8
_WAITS_S: Final = (0.5, 2.0, 5.0, 15.0)
"""Between attempts at a request that may be repeated."""
_FIRST_WAITS_S: Final = _WAITS_S[:2]
"""The same for a registry that has never answered: it is probably not there."""
_LONGEST_WAIT_S: Final = 60.0
_TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_SAID_CHARACTERS: Final = 500


class BrokenRead(RegistryError):
    """Reading a blob was interrupted."""


class BlobMissing(RegistryError):
    """A manifest names a blob that the registry does not have."""


class TryAgain(Exception):
    """A request failed for a reason that may pass."""

    def __init__(self, reason: str, wait_s: float = 0.0) -> None:
        self.wait_s = wait_s
        super().__init__(reason)


class RegistryRequests:
    """Sends the requests of one repository. Threads may share it.

    Parameters
    ----------
    name
        The repository's, for errors.
    path
        Its address.
    authorization
        Signs requests to its host.
    certificates
        Path of a PEM file with authorities to trust; empty: those of the environment.
    sleep
        Waits for some seconds before a request is repeated.
    """

    def __init__(
        self,
        name: str,
        path: str,
        authorization: Authorization,
        *,
        certificates: str,
        sleep: Callable[[float], object],
    ) -> None:
        self._name = name
        self._path = path
        self._authorization = authorization
        self._sleep = sleep
        self._session = requests.Session()
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=_CONNECTIONS))
        self._has_answered = False
        # The environment's authorities go before those of the session, not before the request's.
        self._verify: Any = certificates or None

    def repeated(self, operation: str, attempt: Callable[[], Result]) -> Result:
        """Make attempts at an operation until one succeeds, or fails in a way that will not pass.

        Raises
        ------
        RegistryError
            The last of them failed, too.
        """
        attempts = 0
        while True:
            try:
                return attempt()
            except (TryAgain, BrokenRead, requests.RequestException) as exc:  # noqa: PERF203 - few
                if "CERTIFICATE_VERIFY_FAILED" in str(exc):
                    reason = f"{exc}. Name a file with its authority by the option ca_bundle"
                    raise self._failure(operation, reason) from exc
                waits_s = _WAITS_S if self._has_answered else _FIRST_WAITS_S
                # urllib3's errors have the address, which has no credentials.
                if attempts == len(waits_s):
                    raise self._failure(operation, str(exc)) from exc
                wait_s = max(waits_s[attempts], getattr(exc, "wait_s", 0.0))
                attempts += 1
                log.warning("%s: could not %s: %s; trying again", self._name, operation, exc)
                self._sleep(min(wait_s, _LONGEST_WAIT_S))

    def send(
        self, method: str, url: str, *, push: bool = False, absent_ok: bool = False, **given: Any
    ) -> requests.Response:
        """Send one request; a refused login is renewed once.

        Parameters
        ----------
        push
            Whether a new login must be one for pushes.
        absent_ok
            Whether status 404 is an answer.
        given
            What requests is to be given: ``headers``, ``data``, ``stream``.

        Raises
        ------
        TryAgain
            The registry refused it in a way that may pass.
        RegistryError
            The registry refused it.
        """
        answer = self._once(method, url, **given)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            answer.close()
            challenge = answer.headers.get("WWW-Authenticate", "Basic")
            refused = self._authorization.renew(
                challenge, self._session, push=push, verify=self._verify
            )
            if refused is not None:
                with refused:
                    raise self._refusal("login", refused)
            answer = self._once(method, url, **given)
        if answer.ok or (absent_ok and answer.status_code == HTTPStatus.NOT_FOUND):
            return answer
        with answer:
            raise self._refusal(method, answer)

    def _once(self, method: str, url: str, **given: Any) -> requests.Response:
        # Another host, to which an upload is directed, gets no credentials.
        own = urlsplit(url).netloc == urlsplit(self._path).netloc
        auth = self._authorization if own else lambda request: request
        send = partial(
            self._session.request,
            method,
            url,
            auth=auth,
            timeout=_TIMEOUTS_S,
            verify=self._verify,
            **given,
        )
        # A request whose work is cancelled is left to itself: a registry may be silent for long.
        answer = cancellable.result(in_background(send)) if cancellable.current() else send()
        self._has_answered = True
        return answer

    def _refusal(self, method: str, answer: requests.Response) -> Exception:
        said = answer.text[:_SAID_CHARACTERS].strip()
        reason = f"HTTP {answer.status_code}{f': {said}' if said else ''}"
        wrong_digest = "DIGEST_INVALID" in said
        unknown_upload = method in ("PATCH", "PUT") and "BLOB_UPLOAD_" in said
        # An upload that another machine of the registry does not know as far as it has come.
        wrong_range = answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if answer.status_code in _TRANSIENT or wrong_digest or unknown_upload or wrong_range:
            return TryAgain(reason, _seconds(answer.headers.get("Retry-After", "")))
        if "BLOB_UNKNOWN" in said or "LayersNotFound" in said:
            return BlobMissing(f"{self._name} lacks a blob of the image: {reason}")
        return self._failure(f"{method} to the registry", reason)

    def _failure(self, operation: str, reason: str) -> RegistryError:
        return RegistryError(f"{self._name}: could not {operation}: {reason}")


def _seconds(retry_after: str) -> float:
    """Return how long a registry asks to wait: by seconds, or a date (RFC 9110, 10.2.3)."""
    if retry_after.isdigit():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return 0.0
    until = until if until.tzinfo else until.replace(tzinfo=timezone.utc)
    return max(0.0, (until - datetime.now(timezone.utc)).total_seconds())


def break_off(answer: requests.Response) -> None:
    """Have the thread that reads an answer see its end, unless it has been read."""
    with contextlib.suppress(ValueError, RuntimeError, OSError):
        answer.raw.shutdown()
