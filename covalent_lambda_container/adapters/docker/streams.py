"""Reads an engine's streams of builds and pushes, which report failures with HTTP status 200."""

from __future__ import annotations

import logging
import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from rich.text import Text

from covalent_lambda_container import progress
from covalent_lambda_container.adapters.docker.lines import Lines
from covalent_lambda_container.adapters.docker.pushed_layers import PushedLayers
from covalent_lambda_container.errors import ImageBuildError, RegistryError
from covalent_lambda_container.packages.urls import without_credentials

log = logging.getLogger(__name__)

TAIL_LINES: Final = 50
"""Lines of output that an error shows."""

_STEP: Final = re.compile(r"Step \d+/\d+ : | ---> |(?:Removing|Removed) intermediate container ")
"""Lines of the classic builder itself, which would push out a command's output. An error has its
command anyway."""

_UNREACHABLE: Final = re.compile(
    r"connection (refused|reset)|broken pipe|i/o timeout|TLS handshake timeout|unexpected EOF|"
    r"\bEOF$|no such host|server misbehaving|no route to host|network is unreachable|"
    r"Client\.Timeout|context deadline exceeded|unexpected http status.*\b5\d\d\b|"
    r"unexpected status.*\b(429|5\d\d)\b|toomanyrequests",
    re.IGNORECASE,
)
"""Messages of Go's HTTP client for a registry that was unreachable or unable to answer."""

_DENIED: Final = re.compile(
    r"denied|unauthorized|not authorized|no basic auth|authorization token has expired|"
    r"authentication required|forbidden|\b40[13]\b",
    re.IGNORECASE,
)


class RegistryUnreachable(RegistryError):
    """The registry was unreachable, or could not answer: the push may be retried."""


def follow_build(stream: Iterable[dict[str, Any]], name: str) -> str:
    """Read the stream of a build to its end and return the image's ID.

    Raises
    ------
    ImageBuildError
        The build failed; the message ends with its last lines.
    """
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    image_id, lines = "", Lines()

    def keep(output: list[str]) -> None:
        for coloured in output:
            # The classic builder colours what a command writes to stderr.
            line = Text.from_ansi(coloured).plain.rstrip()
            if line.strip():
                # Commands see the proxies, and may show them.
                shown = without_credentials(line)
                log.info("build %s: %s", name, shown)
                if not _STEP.match(shown):
                    tail.append(shown)

    for record in stream:
        keep(lines.of(record.get("stream", "")))
        if "error" in record:
            keep(lines.end())
        image_id = (record.get("aux") or {}).get("ID", image_id)
        if "error" in record:
            output = "\n".join(tail)
            reason = without_credentials(record["error"])
            raise ImageBuildError(
                f"Build of {name or 'an intermediate image'} failed: {reason}\n{output}"
            )
    keep(lines.end())
    if not image_id:
        raise ImageBuildError(
            f"Build of {name or 'an intermediate image'} ended without an image.\n"
            + "\n".join(tail)
        )
    return image_id


def follow_push(stream: Iterable[dict[str, Any]], name: str) -> str:
    """Read the stream of a push to its end and return the ``sha256:…`` digest of the manifest.

    Raises
    ------
    RegistryUnreachable
        The registry was unreachable or could not answer.
    RegistryError
        The registry refused any part of the image.
    """
    digest, layers = "", PushedLayers()
    for record in stream:
        state = layers.follow(record)
        if state:
            progress.report(state)
        if "error" in record:
            raise push_error(name, str(record["error"]))
        digest = (record.get("aux") or {}).get("Digest", digest)
    if not digest:
        raise RegistryError(f"Push of {name} ended without a digest: the image is incomplete.")
    return digest


def push_error(name: str, reason: str) -> RegistryError:
    """Return the error for a failed push, with advice for its reason."""
    reason = without_credentials(reason).rstrip(".")
    if _UNREACHABLE.search(reason):
        registry = name.partition("/")[0]
        return RegistryUnreachable(
            f"Push of {name} failed: registry {registry} could not be reached: {reason}.",
            hint=f"Check the network, proxy and firewall between the Docker engine and {registry}. "
            "The engine pushes, not this process: an engine on another machine or in a virtual "
            "machine has its own network and localhost.",
        )
    if _DENIED.search(reason):
        return RegistryError(
            f"Push of {name} was refused: {reason}.",
            hint="Check that the dispatcher's identity may push to the repository: "
            "ecr:InitiateLayerUpload, ecr:UploadLayerPart, ecr:CompleteLayerUpload, "
            "ecr:BatchCheckLayerAvailability, ecr:PutImage.",
        )
    return RegistryError(f"Push of {name} failed: {reason}.")
