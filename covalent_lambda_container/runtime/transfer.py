"""Objects of one task, moved through presigned S3 URLs with the standard library alone."""

from __future__ import annotations

import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from email.message import Message

_ATTEMPTS = 3
_TIMEOUT_S = 60
_CHUNK = 1024 * 1024
_PART = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4


def download(url: str) -> bytes | bytearray:
    """GET a presigned URL; a large object in parts, several at once.

    One connection to S3 carries some 90 MB a second ("Best practices design patterns", S3 user
    guide, read 2026-11).
    """
    first, size = _part(url, 0)
    if len(first) == size:
        return first
    from concurrent.futures import ThreadPoolExecutor

    whole = bytearray(size)
    whole[: len(first)] = first

    def fill(start: int) -> None:
        part, _ = _part(url, start)
        whole[start : start + len(part)] = part

    with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
        for _ in pool.map(fill, range(len(first), size, _PART)):
            pass
    return whole


def _part(url: str, start: int) -> tuple[bytes, int]:
    """Return one part of an object, and the size of the whole object."""
    content, headers = _send(url, "GET", span=f"bytes={start}-{start + _PART - 1}")
    seen = headers.get("Content-Range")
    size = int(seen.rpartition("/")[2]) if seen else len(content)
    if len(content) != min(_PART, size - start):
        raise OSError(f"S3 answered GET with {len(content)} bytes from {start} of {size}")
    return content, size


def upload(url: str, parts: Sequence[bytes]) -> None:
    """PUT the parts, one after the other, to a presigned URL."""
    _send(url, "PUT", parts)


def look(url: str) -> bytes | None:
    """Return a presigned URL's object, or None if there is none: once, without trying again."""
    try:
        with urllib.request.urlopen(_request(url, "GET", None), timeout=5) as answer:
            content: bytes = answer.read()
            return content
    except urllib.error.HTTPError as exc:
        if exc.code == 404:
            return None
        raise


def _send(
    url: str, method: str, parts: Sequence[bytes] | None = None, span: str = ""
) -> tuple[bytes, Message]:
    for attempt in range(1, _ATTEMPTS + 1):
        request = _request(url, method, parts)
        if span:
            request.add_header("Range", span)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return answer.read(), answer.headers
        except urllib.error.HTTPError as exc:
            # 4xx is S3's last word: an expired or foreign URL does not get better.
            if exc.code < 500 or attempt == _ATTEMPTS:
                raise OSError(f"S3 answered {method} with HTTP {exc.code} {exc.reason}") from None
        except OSError as exc:
            if attempt == _ATTEMPTS:
                # The URL carries a signature and stays out of the message.
                raise OSError(f"S3 could not be reached for {method}: {exc}") from None
        time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable")


def _request(url: str, method: str, parts: Sequence[bytes] | None) -> urllib.request.Request:
    """Build the request, aimed at the local endpoint when the URL names the dispatcher's host.

    A presigned URL for a local endpoint says ``localhost``, which in a container is the container
    itself. The connection goes to the endpoint that the emulator announces; the ``Host`` header
    keeps the signed name, so the signature still holds.
    """
    target = urllib.parse.urlsplit(url)
    headers = {"Content-Type": "application/octet-stream"}
    body = None
    if parts is not None:
        # In pieces, so that a large object is not copied into one body first.
        body = _pieces(parts)
        headers["Content-Length"] = str(sum(len(part) for part in parts))
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    if endpoint and target.hostname in ("localhost", "127.0.0.1", "::1"):
        headers["Host"] = target.netloc
        netloc = urllib.parse.urlsplit(endpoint).netloc
        url = urllib.parse.urlunsplit(target._replace(netloc=netloc))
    return urllib.request.Request(url, data=body, headers=headers, method=method)  # type: ignore[arg-type]


def _pieces(parts: Sequence[bytes]) -> Iterator[memoryview]:
    for part in parts:
        view = memoryview(part)
        for start in range(0, len(view), _CHUNK):
            yield view[start : start + _CHUNK]
