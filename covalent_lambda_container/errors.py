"""All errors that this project raises on purpose.

Messages are self-contained: they name the operation, the object, what was seen and what to do,
because Covalent shows only ``str(exception)`` to its users.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar, Final

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return a text with its control characters, except tabs and line breaks, shown as text.

    Tasks, packages and servers could otherwise move the cursor, change the terminal's title, or
    hide what was printed. For lines that were overwritten, as progress bars do, only the last state
    is shown.
    """
    lines = text.replace("\r\n", "\n").split("\n")
    last = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], "\n".join(last))


def reason_of(exc: Exception, path: object) -> str:
    """Return the reason for an error; without the path of the file if it is this one.

    The message has named it.
    """
    if isinstance(exc, OSError) and exc.strerror and str(exc.filename) == str(path):
        return exc.strerror
    return str(exc)


class LambdaContainerError(Exception):
    """Base class of all errors of this package.

    Parameters
    ----------
    message
        The operation, its object, and what was seen.
    hint
        Advice for the reader; appended to the message.

    Attributes
    ----------
    message, hint
        The parameters, without control characters; the exception's text contains both.
    exit_code
        Exit status of a command that fails with this error.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        # Shown in logs and terminals; it may quote what a function, a package or a server said.
        self.message = harmless(message)
        self.hint = harmless(hint) if hint else hint
        super().__init__(f"{self.message}\n{self.hint}" if self.hint else self.message)


class ConfigurationError(LambdaContainerError):
    """An option, a profile, a role or a bucket is wrong or missing."""

    exit_code = 2


class RequirementError(LambdaContainerError):
    """A pip requirement cannot be used in an image."""

    exit_code = 2


class ImageBuildError(LambdaContainerError):
    """Docker could not be reached, or a build failed; the message has the end of its output."""

    exit_code = 4


class RequirementsConflict(ImageBuildError):
    """Packages cannot be installed together, or not in the requested versions."""


class RegistryError(LambdaContainerError):
    """ECR refused, or did not keep, an image."""

    exit_code = 5


class UnusableImage(RegistryError):
    """ECR has an image that Lambda does not accept."""


class ProvisionError(LambdaContainerError):
    """AWS did not create or activate a function."""

    exit_code = 6


class InvocationError(LambdaContainerError):
    """A task was sent to its function, and no usable answer was returned.

    Attributes
    ----------
    usage, log_tail
        The handler's measurements, and the end of the invocation's log, if the handler could answer
        for the task, for example because its time was up; else empty.
    """

    exit_code = 7

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.usage: dict[str, Any] = {}
        self.log_tail = ""


class UnusableAnswer(InvocationError):
    """A function's answer does not have the form of the handler's answers."""


class PayloadTooLarge(InvocationError):
    """A task or a result is larger than Lambda's payload limit."""


class ResultNotStored(InvocationError):
    """The task ended, but its result could not be stored in S3; it is not run again."""


class TaskTimedOut(InvocationError):
    """The function's timeout passed before the task ended."""


class TaskOutOfMemory(InvocationError):
    """The task used more memory than the function has."""


class FunctionCrashed(InvocationError):
    """The function's process ended without an answer; the message has the last log lines."""


class VersionMismatch(LambdaContainerError):
    """The versions of dispatcher, client and image are incompatible."""

    exit_code = 8


class LocalStackError(LambdaContainerError):
    """The local stack, or something that it needs, could not be started."""

    exit_code = 9
