"""AWS's errors, translated into this project's: the operation, its object, and advice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from covalent_lambda_container.adapters.aws.refusals import endpoint_advice, permission_advice
from covalent_lambda_container.errors import ConfigurationError, LambdaContainerError

REFUSED_CREDENTIALS: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
"""Codes of requests that AWS refused because of their credentials, without executing them ("Common
error types", Lambda API reference, and "Error responses", S3 API reference, read 2026-11)."""

_WRONG_CLOCK: Final = re.compile(
    r"RequestTimeTooSkewed|RequestExpired|Signature expired|Signature not yet current"
)
"""How AWS refuses requests of another time, by code or message: S3's, and all others' ("Error
responses", S3 API reference; "Troubleshooting AWS SigV4 errors", IAM user guide; read 2026-11)."""

_DENIED: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


def error_code(exc: ClientError) -> str:
    """Return AWS's code for an error, such as ``"ResourceNotFoundException"``."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def error_message(exc: ClientError) -> str:
    """Return AWS's message for an error."""
    return str(exc.response.get("Error", {}).get("Message", ""))


def is_denial(error: LambdaContainerError) -> bool:
    """Return whether an error of this project stems from a missing permission."""
    return isinstance(error.__cause__, ClientError) and error_code(error.__cause__) in _DENIED


def cause_of(error: LambdaContainerError) -> str:
    """Return an error's root cause, the same for all errors that it leads to.

    Missing or refused credentials, an unknown region and an unreachable network make all requests
    to AWS fail.
    """
    behind = error.__cause__
    if isinstance(behind, ClientError):
        code = error_code(behind)
        return code if code in REFUSED_CREDENTIALS else error.message
    return type(behind).__name__ if isinstance(behind, BotoCoreError) else error.message


@contextmanager
def explained(
    operation: str, subject: str = "", kind: type[LambdaContainerError] = LambdaContainerError
) -> Iterator[None]:
    """Translate boto3's errors into one that names the operation and its object.

    Parameters
    ----------
    operation
        Verb and object, which follow "Could not" in the message: ``"create function"``.
    subject
        Name of the object; empty if the operation says it all.
    kind
        Error class for errors without a more specific one.
    """
    failed = f"could not {operation} {subject!r}" if subject else f"could not {operation}"
    begin = f"{failed[0].upper()}{failed[1:]}"
    try:
        yield
    except ClientError as exc:
        code, message = error_code(exc), error_message(exc)
        if _WRONG_CLOCK.search(f"{code}: {message}"):
            raise ConfigurationError(
                f"AWS refused the time of the request ({code}: {message}): {failed}.",
                hint="Set the clock of the dispatcher's machine, by NTP for instance: it must not "
                "differ from AWS's by more than five minutes.",
            ) from exc
        if code in REFUSED_CREDENTIALS:
            said = f"{code}: {message}".rstrip(".: ")
            raise ConfigurationError(
                f"AWS refused the credentials ({said}): {failed}.",
                hint="Check the options credentials_file, profile and region, or renew the login.",
            ) from exc
        hint = permission_advice(exc) if code in _DENIED else None
        raise kind(f"{begin}: AWS answered {code}: {message}", hint=hint) from exc
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as exc:
        raise ConfigurationError(
            f"{exc}: {failed}.",
            hint="Provide credentials in one of boto3's ways, or set the options credentials_file "
            "and profile.",
        ) from exc
    except (SSOError, TokenRetrievalError) as exc:
        raise ConfigurationError(
            f"{str(exc).rstrip('.')}: {failed}.",
            hint="Renew the login: 'aws sso login', for the profile that the dispatcher uses.",
        ) from exc
    except CredentialRetrievalError as exc:
        said = str(exc).rstrip(".\n")
        raise ConfigurationError(
            f"The source of the credentials failed ({said}): {failed}.",
            hint="Check what the profile names as the source of its credentials, such as the "
            "program of credential_process: it must print them as JSON within a minute.",
        ) from exc
    except NoRegionError as exc:
        raise ConfigurationError(
            f"No AWS region is known: {failed}.",
            hint="Set the option region, or AWS_DEFAULT_REGION for the dispatcher.",
        ) from exc
    except EndpointConnectionError as exc:
        url = "{0.scheme}://{0.netloc}".format(urlsplit(str(exc.kwargs.get("endpoint_url"))))
        raise ConfigurationError(
            f"Nothing answers at {url}: {failed}.", hint=endpoint_advice(url)
        ) from exc
    except BotoCoreError as exc:
        raise kind(f"{begin}: {exc}") from exc
