"""Translates docker-py's errors into errors of this project with advice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from docker.credentials.errors import StoreError
from docker.errors import APIError, DockerException, StreamParseError, TLSParameterError
from requests.exceptions import RequestException, SSLError, Timeout
from urllib3.exceptions import HTTPError

from covalent_lambda_container.adapters.docker.address import EngineAddress
from covalent_lambda_container.adapters.docker.build_arguments import without_build_arguments
from covalent_lambda_container.errors import ImageBuildError, LambdaContainerError

ENGINE_ERRORS: Final = (
    DockerException,
    RequestException,
    HTTPError,
    StreamParseError,
    StoreError,
    ConnectionError,
)
"""Errors raised by docker-py, which passes on those of the libraries below it."""

_NO_SPACE: Final = "no space left on device"
_START_ONE: Final = (
    "Start a Docker engine on the dispatcher's machine (check with 'docker info'), or set "
    "DOCKER_HOST or a Docker context. An engine is needed only for images that are not in ECR yet: "
    "'covalent-lambda prebuild' puts them there from another machine."
)


@contextmanager
def explained(
    operation: str, address: EngineAddress | None = None, refused: str = ""
) -> Iterator[None]:
    """Turn docker-py's errors into an `ImageBuildError` with advice.

    Parameters
    ----------
    operation
        Docker's task: ``"build an image"``.
    address
        The engine's address, if it is known.
    refused
        Advice for an engine that answers, but cannot do it; default: where to look.
    """
    try:
        yield
    except LambdaContainerError:
        raise
    except ENGINE_ERRORS as exc:
        # URLs with build arguments must not become part of a traceback either.
        is_private = without_build_arguments(str(exc)) != str(exc)
        hint = _hint(exc, address, refused)
        why = reason(exc)
        if hint is _START_ONE:
            why = f"no engine answers{_where(address)}: {_of_system(exc) or why}"
        raise ImageBuildError(f"Docker could not {operation}: {why}", hint=hint) from (
            None if is_private else exc
        )


def reason(exc: BaseException) -> str:
    """Return the reason that an engine or docker-py gives for an error."""
    if isinstance(exc, APIError) and exc.explanation:
        explanation = exc.explanation
        text = explanation if isinstance(explanation, str) else explanation.decode(errors="replace")
        return f"{text.strip()} (HTTP status {exc.status_code})"
    return without_build_arguments(str(exc)) or type(exc).__name__


def _hint(exc: BaseException, address: EngineAddress | None, refused: str) -> str:
    """Return advice for a kind of failure."""
    where = _where(address)
    causes = list(_causes(exc))
    if _NO_SPACE in str(exc):
        return (
            "The engine's disk is full: free space with 'covalent-lambda gc --local' "
            "or 'docker system prune', or give Docker more room."
        )
    if isinstance(exc, APIError):
        return refused or "The engine answered; 'docker info' and the engine's log may say more."
    if "paramiko" in str(exc):
        return "Connections by ssh:// need paramiko: pip install 'docker[ssh]'."
    if any(isinstance(each, (SSLError, TLSParameterError)) for each in causes):
        return (
            f"The TLS connection to the engine{where} failed: check DOCKER_CERT_PATH or the Docker "
            "context: ca.pem must be the authority that issued the engine's certificate."
        )
    if any(isinstance(each, PermissionError) for each in causes):
        return (
            f"This user may not use the engine's socket{where}: add the user to the group that "
            "owns it (often 'docker') and log in again, or use a rootless engine."
        )
    if any(isinstance(each, (Timeout, TimeoutError)) for each in causes):
        return f"The engine{where} did not answer in time: check it with 'docker info'."
    if "fetching server API version" in str(exc) or any(
        isinstance(each, ConnectionError | FileNotFoundError) for each in causes
    ):
        return _START_ONE
    return "Check the engine with 'docker info'; its log may say more."


def _where(address: EngineAddress | None) -> str:
    return f" at {address}" if address else ""


def _of_system(exc: BaseException) -> str:
    """Return the system's reason for an error, without what docker-py has around it."""
    said = [each.strerror for each in _causes(exc) if isinstance(each, OSError)]
    return next(filter(None, reversed(said)), "")


def _causes(exc: BaseException) -> Iterator[BaseException]:
    """Yield an exception and its causes; urllib3 and requests keep theirs in the arguments."""
    seen: set[int] = set()
    waiting: list[Any] = [exc]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args]
