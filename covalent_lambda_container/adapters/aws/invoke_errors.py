"""Interprets invocations without an answer: whether the function was started, and advice."""

from __future__ import annotations

import errno
from typing import Any, Final

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserFactory

from covalent_lambda_container.adapters.aws.aws_errors import error_code, error_message
from covalent_lambda_container.adapters.aws.refusals import endpoint_advice
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    FunctionMissing,
    NotAccepted,
    Unreachable,
)

_FEWER: Final = "or run fewer electrons at once."
_NOT_ACCEPTED: Final = {
    # Lambda reads images as the code artifact user, which it provisions again for a function that
    # was Inactive.
    "CodeArtifactUserDeletedException": "",
    "CodeArtifactUserPendingException": "",
    "EC2ThrottledException": f"Wait until the VPC has its network interfaces, {_FEWER}",
    "ENILimitReachedException": f"Raise the VPC's quota of network interfaces, {_FEWER}",
    "ENINotReadyException": "",
    "ResourceConflictException": "",
    "ResourceNotReadyException": "",
    "SnapStartNotReadyException": "",
    "SnapStartRegenerationFailureException": "",
    "SubnetIPAddressLimitReachedException": "Set subnets with free addresses in the option "
    f"subnet_ids, {_FEWER}",
    "TooManyRequestsException": f"Raise the account's concurrency quota for Lambda, {_FEWER}",
}
"""Responses to Invoke after which, according to their documentation, the function was not started
and may be invoked again, with advice if they persist (Lambda API reference, "Invoke", read
2026-11)."""

_CHECK_MOUNT: Final = (
    "Check the file system's mount targets and the security groups of both: the function's must be "
    "allowed to reach the file system's port."
)
_BRIEFLY_NOT_ACCEPTED: Final = {
    "EC2UnexpectedException": "",
    "EFSMountConnectivityException": _CHECK_MOUNT,
    "EFSMountTimeoutException": _CHECK_MOUNT,
    "S3FilesMountConnectivityException": _CHECK_MOUNT,
    "S3FilesMountTimeoutException": _CHECK_MOUNT,
    "SnapStartTimeoutException": "",
}
"""The same, for problems that either pass within a minute or persist until somebody fixes them."""

_UNDECIDED: Final = frozenset({"ServiceException"})
"""Responses to Invoke that leave open whether the function was started. All other documented errors
are found before the start, whatever their status: a key, a network or a file system that the
function may not use has status 502 or 403 (the same page)."""

_NO_FILE_LEFT: Final = tuple(f"(os error {code})" for code in (errno.EMFILE, errno.ENFILE))
_NOT_TRUSTED: Final = "invalid peer certificate"
_NO_TUNNEL: Final = ("tunnel error: proxy authorization required", "tunnel error: unsuccessful")
"""pyqwest's messages for connections that will fail again; its errors have no codes."""
_SERVER_ERROR: Final = 500


class Refusals:
    """Decides what Lambda's responses to Invoke mean.

    Parameters
    ----------
    operation
        botocore's model of Invoke.
    """

    def __init__(self, operation: Any) -> None:
        self._parser = ResponseParserFactory().create_parser("rest-json")
        self._shape = operation.output_shape
        self._decided = frozenset(shape.name for shape in operation.error_shapes) - _UNDECIDED

    def error(self, name: str, status: int, headers: dict[str, str], body: bytes) -> Exception:
        """Return the error for a response whose status is not 200.

        Parameters
        ----------
        name
            Function name.
        status, headers, body
            The response.
        """
        response = {"status_code": status, "headers": headers, "body": body}
        exc = ClientError(self._parser.parse(response, self._shape), "Invoke")
        code = error_code(exc)
        said = f"{code}: {error_message(exc)}"
        if code in _NOT_ACCEPTED:
            return NotAccepted(said, _NOT_ACCEPTED[code])
        if code in _BRIEFLY_NOT_ACCEPTED:
            return NotAccepted(said, _BRIEFLY_NOT_ACCEPTED[code], brief=True)
        if code == "ResourceNotFoundException":
            return FunctionMissing(name)
        if status >= _SERVER_ERROR and code not in self._decided:
            return ConnectionLost(said)
        return exc


def not_connected(name: str, endpoint: str, said: str) -> Exception:
    """Return the error for a connection that was not established."""
    if _NOT_TRUSTED in said:
        return InvocationError(
            f"Could not invoke function {name!r}: no trusted connection to {endpoint}: {said}.",
            hint="If a proxy or a private endpoint has a certificate of its own, name its "
            "authority's PEM file in AWS_CA_BUNDLE for the dispatcher.",
        )
    if any(refusal in said for refusal in _NO_TUNNEL):
        return InvocationError(
            f"Could not invoke function {name!r}: the proxy did not connect to {endpoint}: {said}.",
            hint="Check HTTPS_PROXY and NO_PROXY in the dispatcher's environment, and whether "
            "the proxy is overloaded.",
        )
    if any(shortage in said for shortage in _NO_FILE_LEFT):
        return NotAccepted(said, f"Raise the dispatcher's open file limit (ulimit -n), {_FEWER}")
    return Unreachable(f"no connection to {endpoint}: {said}", endpoint_advice(endpoint))
