"""Lambda functions: creating them, and running them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

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
        Why it did not.
    hint
        What helps if it stays so; empty if that is not known.
    """

    def __init__(self, said: str, hint: str = "") -> None:
        super().__init__(said)
        self.hint = hint


class Unreachable(NotAccepted):
    """No connection to Lambda could be made."""


class FunctionMissing(Exception):
    """There is no function of that name."""


class ConnectionLost(Exception):
    """The connection broke after the request may have been accepted."""


@dataclass(frozen=True, kw_only=True)
class FunctionState:
    """What Lambda says of a function.

    Parameters
    ----------
    state
        `PENDING`, `ACTIVE`, `INACTIVE` (wakes when invoked) or `FAILED`.
    reason
        Lambda's sentence about a state other than `ACTIVE`.
    """

    state: str
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class FunctionRecord:
    """What Lambda says of a function that runs an image.

    Parameters
    ----------
    name
        Its name.
    image
        The image it was made from, ``"repository@sha256:…"``.
    memory_mb
        Its memory.
    modified
        When it was made or last changed.
    tags
        Its AWS tags.
    description
        What it was created for, in words for people.
    """

    name: str
    image: str
    memory_mb: int
    modified: datetime
    tags: Mapping[str, str]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What an invocation brought back.

    Parameters
    ----------
    payload
        The JSON the function answered, or Lambda's description of its failure.
    function_error
        Empty when the function answered; ``"Unhandled"`` and the like when it did not.
    log_tail
        Last 4 KB of the invocation's log.
    """

    payload: dict[str, Any]
    function_error: str = ""
    log_tail: str = ""


class Functions(Protocol):
    """A place where functions are made."""

    def find(self, name: str) -> FunctionState | None:
        """Return a function's state, or None when there is no such function."""

    def create(self, spec: FunctionSpec, description: str = "") -> None:
        """Ask for a function; one that exists is left as it is.

        The description, up to 256 characters for people, takes no part in what the function is.
        """

    def wait_active(self, name: str) -> FunctionState:
        """Wait until a function is no longer pending; return its state."""

    def delete(self, name: str) -> None:
        """Delete a function, if it is there."""

    def role_arn(self, name: str) -> str:
        """Return the ARN of an execution role, given by its name or its ARN.

        Raises
        ------
        ConfigurationError
            There is no such role.
        """

    def reserve(self, name: str, executions: int) -> None:
        """Reserve concurrent executions for a function, which it will not exceed either."""

    def list_functions(self) -> list[FunctionRecord]:
        """Return all functions of the account that run an image, whoever made them."""


class Invocations(Protocol):
    """A place where functions are run."""

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        """Run a function once and wait for its answer.

        Raises
        ------
        NotAccepted, FunctionMissing, ConnectionLost
        """
