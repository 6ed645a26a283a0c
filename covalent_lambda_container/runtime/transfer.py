"""Transfers objects through presigned S3 URLs, using only the standard library."""

from __future__ import annotations

import contextlib
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from email.message import Message
from http.client import HTTPException
from typing import Protocol

_PATIENCE_S = 5.0
_LONGEST_DELAY_S = 5.0
_TIMEOUT_S = 60.0
_SHORTEST_TIMEOUT_S = 1.0
_LOOK_TIMEOUT_S = 1.0
_REASON_BYTES = 4096
_LONGEST_REASON = 300
_CHUNK = 1024 * 1024
_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4


class Clock(Protocol):
    """A source of time, and a way to wait."""

    def now(self) -> float:
        """Return seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class _SystemClock:
    now = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)


_CLOCK = _SystemClock()

_TEMPORARY = ("RequestTimeout", "OperationAborted")
"""S3's codes with status 4xx after which a request may be repeated ("Error responses", S3 API
reference, read 2026-11)."""


def download(
    url: str, descriptor: int, *, patience_s: float = _PATIENCE_S, clock: Clock = _CLOCK
) -> None:
    """GET a presigned URL into a file; a large object in parts, several at once.

    One connection to S3 carries some 90 MB a second ("Best practices design patterns", S3 user
    guide, read 2026-11).

    Parameters
    ----------
    url, descriptor
        Source and destination.
    patience_s
        How long errors of S3 are retried.

    Raises
    ------
    OSError
        S3 refused, or did not answer in time.
    """
    ends = clock.now() + patience_s

    def fill(start: int) -> int:
        part, size = _part(url, start, ends, clock)
        view, place = memoryview(part), start
        while view:
            # All of it, or the system says why not.
            written = os.pwrite(descriptor, view, place)
            view, place = view[written:], place + written
        return size

    size = fill(0)
    if size > _PART:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            for _ in pool.map(fill, range(_PART, size, _PART)):
                pass


def _part(url: str, start: int, ends: float, clock: Clock) -> tuple[bytes, int]:
    """Return one part of an object, and the size of the whole object."""
    span = f"bytes={start}-{start + _PART - 1}"
    content, headers = _send(url, "GET", span=span, ends=ends, clock=clock)
    seen = headers.get("Content-Range")
    size = int(seen.rpartition("/")[2]) if seen else len(content)
    if len(content) != min(_PART, size - start):
        raise OSError(f"S3 answered GET with {len(content)} bytes from {start} of {size}")
    return content, size


def upload(
    url: str,
    parts: Sequence[bytes | memoryview],
    *,
    patience_s: float = _PATIENCE_S,
    clock: Clock = _CLOCK,
) -> None:
    """PUT the parts, one after the other, to a presigned URL.

    Parameters
    ----------
    url, parts
        Destination and content.
    patience_s
        How long errors of S3 are retried.

    Raises
    ------
    OSError
        S3 refused, or did not answer in time.
    """
    _send(url, "PUT", parts, ends=clock.now() + patience_s, clock=clock)


def look(url: str) -> bytes | None:
    """Return a presigned URL's object, or None if it does not exist; errors are not retried."""
    try:
        with urllib.request.urlopen(_request(url, "GET", None), timeout=_LOOK_TIMEOUT_S) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as exc:
        exc.close()
        if exc.code == 404:
            return None
        raise


def put_once(url: str, parts: Sequence[bytes | memoryview], *, timeout_s: float) -> None:
    """PUT the parts to a presigned URL; errors are not retried.

    Raises
    ------
    OSError
        S3 refused, or did not answer in time.
    """
    with urllib.request.urlopen(_request(url, "PUT", parts), timeout=timeout_s) as answer:
        answer.read()


def _send(
    url: str,
    method: str,
    parts: Sequence[bytes | memoryview] | None = None,
    *,
    ends: float,
    clock: Clock,
    span: str = "",
) -> tuple[bytes, Message]:
    delay_s = 0.2
    while True:
        request = _request(url, method, parts)
        if span:
            request.add_header("Range", span)
        timeout_s = min(max(ends - clock.now(), _SHORTEST_TIMEOUT_S), _TIMEOUT_S)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as exc:
            code, reason = _reason(exc)
            error = OSError(f"S3 answered {method} with HTTP {exc.code} {exc.reason}{reason}")
            # 4xx is final: an expired or foreign URL does not become valid.
            final = exc.code < 500 and code not in _TEMPORARY
        except (OSError, HTTPException) as exc:
            # The URL contains a signature and must not be in the message.
            error, final = OSError(f"S3 could not be reached for {method}: {exc}"), False
        if final or clock.now() + delay_s >= ends:
            raise error
        clock.sleep(delay_s)
        delay_s = min(2 * delay_s, _LONGEST_DELAY_S)


def _reason(exc: urllib.error.HTTPError) -> tuple[str, str]:
    """Return S3's code for an error, and what S3 says of it in parentheses; both may be empty.

    The rest of S3's answer shows what was signed.
    """
    with exc, contextlib.suppress(OSError, HTTPException):
        text = exc.read(_REASON_BYTES).decode("utf-8", "replace")
        found = [re.search(rf"<{tag}>([^<]+)</{tag}>", text) for tag in ("Code", "Message")]
        said = [match[1] for match in found if match]
        if said:
            return said[0], f" ({': '.join(said)[:_LONGEST_REASON]})"
    return "", ""


def _request(
    url: str, method: str, parts: Sequence[bytes | memoryview] | None
) -> urllib.request.Request:
    """Build the request, aimed at the local endpoint when the URL names the dispatcher's host.

    A presigned URL for a local endpoint contains ``localhost``, which in a container is the
    container itself. The connection goes to the endpoint that the emulator announces; the ``Host``
    header keeps the signed name, so the signature remains valid.
    """
    target = urllib.parse.urlsplit(url)
    headers = {"Content-Type": "application/octet-stream"}
    body = None
    if parts is not None:
        # In chunks, so that a large object is not copied into one body first.
        body = _chunks(parts)
        headers["Content-Length"] = str(sum(len(part) for part in parts))
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and target.hostname in ("localhost", "127.0.0.1", "::1"):
        headers["Host"] = target.netloc
        netloc = urllib.parse.urlsplit(endpoint).netloc
        url = urllib.parse.urlunsplit(target._replace(netloc=netloc))
    return urllib.request.Request(url, data=body, headers=headers, method=method)  # type: ignore[arg-type]


def _chunks(parts: Sequence[bytes | memoryview]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _CHUNK):
            yield view[start : start + _CHUNK]
