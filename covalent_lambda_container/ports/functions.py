"""Lambda functions: creating and invoking them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from covalent_lambda_container.errors import ProvisionError
from covalent_lambda_container.model.specs import FunctionSpec

ACTIVE: Final = "Active"
INACTIVE: Final = "Inactive"
PENDING: Final = "Pending"
FAILED: Final = "Failed"


class NotAccepted(Exception):
    """Lambda did not start the task; it may be sent again.

    Parameters
    ----------
    said
        Lambda's reason.
    hint
        Advice if the problem persists; empty if there is none.
    brief
        Whether the problem passes within a minute, or persists until somebody changes something.
    """

    def __init__(self, said: str, hint: str = "", *, brief: bool = False) -> None:
        super().__init__(said)
        self.hint = hint
        self.brief = brief


class Unreachable(NotAccepted):
    """No connection to Lambda could be made."""

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said, hint, brief=True)


class CredentialsRefused(NotAccepted):
    """Credentials that had been accepted were refused: they have been, or are being, replaced.

    What was signed with the old ones, such as URLs in the event, has to be signed again.
    """

    def __init__(self, said: str) -> None:
        super().__init__(
            said,
            "Check the options credentials_file, profile and region, or renew the login.",
            brief=True,
        )


class FunctionMissing(ProvisionError):
    """No function has that name.

    Parameters
    ----------
    name
        The name.
    """

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Function {name} no longer exists: somebody deleted it.",
            hint="Dispatch the electron again: this recreates the function.",
        )


class ImageMissing(ProvisionError):
    """The image that a function was to be created from is not in the registry."""


class ConnectionLost(Exception):
    """The connection broke after the request may have been accepted."""


@dataclass(frozen=True, kw_only=True)
class FunctionState:
    """State of a function, as Lambda reports it.

    Parameters
    ----------
    state
        `PENDING`, `ACTIVE`, `INACTIVE` (wakes when invoked) or `FAILED`.
    reason
        Lambda's explanation of a state other than `ACTIVE`.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class FunctionRecord:
    """A function that runs an image, as Lambda describes it.

    Parameters
    ----------
    name
        Its name.
    image
        The image it was created from, ``"repository@sha256:…"``.
    memory_mb
        Its memory.
    modified
        When it was created or last changed.
    tags
        Its AWS tags.
    description
        Its purpose, in words for people.
    """

    name: str
    image: str
    memory_mb: int
    modified: datetime
    tags: Mapping[str, str]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """The response to an invocation.

    Parameters
    ----------
    payload
        The function's answer as JSON, or Lambda's description of its failure.
    function_error
        Empty if the function answered; ``"Unhandled"`` or the like if it failed.
    log_tail
        Last 4 KB of the invocation's log.
    """

    payload: dict[str, Any]
    function_error: str = ""
    log_tail: str = ""


class Functions(Protocol):
    """Creates, finds and deletes functions."""

    def find(self, name: str) -> FunctionState | None:
        """Return a function's state, or None when it does not exist."""

    def create(self, spec: FunctionSpec, description: str = "") -> None:
        """Request a function's creation; an existing one is left unchanged.

        The description, up to 256 characters for people, does not count towards its identity.

        Raises
        ------
        ImageMissing
            Its image is not in the registry.
        """

    def wait_active(self, name: str) -> FunctionState:
        """Wait until a function is no longer pending; return its state.

        Raises
        ------
        FunctionMissing
            The function does not exist.
        """

    def delete(self, name: str) -> None:
        """Delete a function, if it exists."""

    def role_arn(self, name: str) -> str:
        """Return the ARN of an execution role, given by its name or its ARN.

        Raises
        ------
        ConfigurationError
            The role does not exist.
        """

    def reserve(self, name: str, executions: int) -> None:
        """Reserve concurrent executions for a function, which are also its limit."""

    def list_functions(self) -> list[FunctionRecord]:
        """Return all functions of the account that run an image, whoever created them."""


class Invocations(Protocol):
    """Invokes functions."""

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        """Invoke a function once and wait for its answer.

        Raises
        ------
        NotAccepted, FunctionMissing, ConnectionLost
        """
