"""A bucket in memory, whose presigned URLs work over HTTP."""

from __future__ import annotations

import hmac
import io
import secrets
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.files.streams import Readable
from covalent_lambda_container.ports.stores import Parsed
from tests.fakes.loopback import LoopbackHandler, LoopbackServer


class _Handler(LoopbackHandler):
    fake: FakeBlobStore

    def _serve(self) -> None:
        self.fake.hosts.append(self.headers["Host"])
        status, content, span = self.fake.reply(
            self.command, self.path, self.body(), self.headers["Range"]
        )
        self.answer(status, content, {"Content-Range": span} if span else {})

    do_GET = do_PUT = _serve  # noqa: N815 - http.server's names


class FakeBlobStore(LoopbackServer):
    """Keeps objects in memory and serves them on the loopback address while it is open.

    Attributes
    ----------
    objects
        Stored objects by key.
    requests
        ``"METHOD key"`` of every HTTP request.
    hosts
        The requests' ``Host`` headers.
    failing_requests
        How many of the next requests over HTTP are answered with status 503.
    failing_reads
        How many of the next reads by the dispatcher fail.
    denials
        Whether a policy denies all requests over HTTP.
    """

    handler = _Handler

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.hosts: list[str] = []
        self.failing_requests = 0
        self.failing_reads = 0
        self.denials = False
        self._secret = secrets.token_bytes()

    def check(self) -> None:
        """The bucket is there."""

    def put(self, key: str, body: bytes | Iterable[bytes]) -> None:
        self.objects[key] = body if isinstance(body, bytes) else b"".join(body)

    def read(
        self, key: str, parse: Callable[[Readable], Parsed], *, limit: int | None = None
    ) -> Parsed | None:
        if self.failing_reads:
            self.failing_reads -= 1
            raise InvocationError(f"read S3 object {key!r}: AWS answered SlowDown: less, please")
        stored = self.objects.get(key)
        if stored is None:
            return None
        try:
            return parse(io.BytesIO(stored[:limit]))
        except ValueError as exc:
            raise InvocationError(f"S3 object {key} could not be read completely: {exc}") from exc

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def read_url(self, key: str, *, valid_s: int) -> str:
        return self._url("GET", key, valid_s)

    def write_url(self, key: str, *, valid_s: int) -> str:
        return self._url("PUT", key, valid_s)

    def _url(self, method: str, key: str, valid_s: int) -> str:
        expires = str(int(time.time()) + valid_s)
        query = urlencode({"expires": expires, "signature": self._sign(method, key, expires)})
        return f"{self.url}/{quote(key)}?{query}"

    def _sign(self, method: str, key: str, expires: str) -> str:
        return hmac.new(self._secret, f"{method} {expires} {key}".encode(), "sha256").hexdigest()

    def reply(
        self, method: str, path: str, body: bytes, span: str | None
    ) -> tuple[HTTPStatus, bytes, str]:
        """Return status, body and `Content-Range` of what answers a request."""
        status, content = self._whole(method, path, body)
        if status != HTTPStatus.OK or method != "GET" or not span:
            return status, content, ""
        start, end = map(int, span.removeprefix("bytes=").split("-"))
        if start >= len(content):
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"InvalidRange", ""
        part = content[start : end + 1]
        shown = f"bytes {start}-{start + len(part) - 1}/{len(content)}"
        return HTTPStatus.PARTIAL_CONTENT, part, shown

    def _whole(self, method: str, path: str, body: bytes) -> tuple[HTTPStatus, bytes]:
        parts = urlsplit(path)
        key, query = unquote(parts.path[1:]), parse_qs(parts.query)
        self.requests.append(f"{method} {key}")
        if self.failing_requests:
            self.failing_requests -= 1
            return HTTPStatus.SERVICE_UNAVAILABLE, error_text("SlowDown", "Reduce the rate.")
        if self.denials:
            return HTTPStatus.FORBIDDEN, error_text("AccessDenied", "Access Denied")
        expires, signature = query.get("expires", ["0"])[0], query.get("signature", [""])[0]
        if not hmac.compare_digest(signature, self._sign(method, key, expires)):
            return HTTPStatus.FORBIDDEN, error_text("SignatureDoesNotMatch", "Check your key.")
        if int(expires) < time.time():
            return HTTPStatus.FORBIDDEN, error_text("AccessDenied", "Request has expired")
        if method == "PUT":
            self.put(key, body)
            return HTTPStatus.OK, b""
        stored = self.objects.get(key)
        if stored is None:
            return HTTPStatus.NOT_FOUND, error_text("NoSuchKey", "The key does not exist.")
        return HTTPStatus.OK, stored


def error_text(code: str, message: str) -> bytes:
    """Return the body of S3's answer to a request that it refuses."""
    parts = f"<Code>{code}</Code><Message>{message}</Message><AWSAccessKeyId>AKI</AWSAccessKeyId>"
    return f'<?xml version="1.0"?>\n<Error>{parts}</Error>'.encode()
