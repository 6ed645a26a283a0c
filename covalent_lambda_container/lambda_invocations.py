"""Lambda's Invoke, on the event loop: thousands may be under way without a thread each.

boto3 has no asynchronous client. The requests are aiohttp's; botocore finds the endpoint, the
credentials and the proxy, signs, and reads errors.
"""

from __future__ import annotations

import base64
import errno
import io
import json
import socket
import ssl
import time
from collections.abc import AsyncGenerator
from functools import cached_property, lru_cache
from importlib.metadata import version
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserFactory
from yarl import URL

from covalent_lambda_container.aws import AwsClients, error_code, error_message, explained
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.event_loop import BRIEF_BYTES, PerLoop, in_thread
from covalent_lambda_container.ports import (
    ConnectionLost,
    FunctionMissing,
    NotAccepted,
    Reply,
    Unreachable,
)
from covalent_lambda_container.signatures import SignedPosts

_FEWER: Final = "or run fewer electrons at once."
_NOT_ACCEPTED: Final = {
    "EC2ThrottledException": f"Wait until the VPC has its network interfaces, {_FEWER}",
    "ENILimitReachedException": f"Raise the VPC's quota of network interfaces, {_FEWER}",
    "ResourceConflictException": "",
    "ResourceNotReadyException": "",
    "SubnetIPAddressLimitReachedException": "Name subnets with free addresses by the option "
    f"subnet_ids, {_FEWER}",
    "TooManyRequestsException": f"Raise the account's concurrency quota for Lambda, {_FEWER}",
}
"""Answers to Invoke that say the function was not started and may be asked again, and what helps if
they stay (Lambda API reference, "Invoke", read 2026-11)."""

_UNDECIDED: Final = frozenset({"ServiceException"})
"""Answers to Invoke that do not say whether the function was started. What else Lambda documents
was found before its start, whatever the status: a key, a network or a file system that it may not
use has status 502 or 403 (the same page)."""

_PATH: Final = "/2015-03-31/functions/{}/invocations"
_HEADERS: Final = {"Content-Type": "application/json", "X-Amz-Log-Type": "Tail"}
_OPERATION: Final = "invoke function"
_OK: Final = 200
_SERVER_ERROR: Final = 500
_CONNECT_TIMEOUT_S: Final = 10
_READ_RESERVE_S: Final = 30
_IDLE_CONNECTION_S: Final = 15
"""How long a connection without a request is kept; shorter than Lambda keeps it, which would
otherwise close it at the moment of the next request."""
_KEEP_ALIVE_S: Final = 60
_KEEP_ALIVE_OPTIONS: Final[tuple[int, ...]] = tuple(
    getattr(socket, name)
    for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL")  # Linux; macOS; both
    if hasattr(socket, name)
)


class LambdaInvocations:
    """Invokes the functions of one account.

    Parameters
    ----------
    clients
        AWS clients of the account.
    """

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._sessions = PerLoop(lambda: _LazySession(clients.certificates))
        self._errors = ResponseParserFactory().create_parser("rest-json")

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        """Invoke a function once and wait for its answer.

        Never sends twice: a request that went out may have started the function.

        Parameters
        ----------
        name
            Function name.
        event
            JSON, at most 6 MB.
        timeout_s
            The function's timeout; the connection is given longer than that.

        Raises
        ------
        NotAccepted
            The function was not started: throttled, not ready, or (`Unreachable`) not reached.
        FunctionMissing
            There is no such function.
        ConnectionLost
            No answer came; the task may be running.
        """
        url = self._url(name)
        headers = await self._headers(name, url, event)
        status, answered, body = await self._send(name, url, event, headers, timeout_s)
        if status != _OK:
            with explained(_OPERATION, name, InvocationError):
                raise self._refusal(name, status, answered, body)
        try:
            payload = await _parsed(body)
        except ValueError as exc:
            raise ConnectionLost(f"its answer cannot be read: {exc}") from exc
        return Reply(
            payload=payload,
            function_error=answered.get("X-Amz-Function-Error", ""),
            log_tail=base64.b64decode(answered.get("X-Amz-Log-Result", "")).decode(
                "utf-8", "replace"
            ),
        )

    async def _headers(self, name: str, url: str, event: bytes) -> dict[str, str]:
        with explained(_OPERATION, name, InvocationError):
            await self._clients.renew_credentials()
            if len(event) < BRIEF_BYTES:
                return self._signed(url, event)
            return await in_thread(self._signed, url, event)

    def _signed(self, url: str, event: bytes) -> dict[str, str]:
        credentials, second = self._clients.frozen_credentials(), int(time.time())
        return _signed_posts(credentials, self._region, url, second).headers(event)

    async def _send(
        self, name: str, url: str, event: bytes, headers: dict[str, str], timeout_s: int
    ) -> tuple[int, Any, bytes]:
        session = await self._sessions.get().opened()
        try:
            answer = await session.post(
                _parsed_url(url),
                # Of bytes, aiohttp sends a copy, and warns when they are many.
                data=event if len(event) < BRIEF_BYTES else io.BytesIO(event),
                headers=headers,
                timeout=_timeout(timeout_s),
                proxy=self._proxy,
                allow_redirects=False,
            )
            # Which leaves the connection to others, or closes it.
            return answer.status, answer.headers, await answer.read()
        except aiohttp.ClientSSLError as exc:
            raise InvocationError(
                f"invoke function {name!r}: no trusted connection to {self._endpoint}: {exc}.",
                hint="If a proxy or a private endpoint has a certificate of its own, name its "
                "authority's PEM file in AWS_CA_BUNDLE for the dispatcher.",
            ) from exc
        except aiohttp.ClientHttpProxyError as exc:
            raise InvocationError(
                f"invoke function {name!r}: the proxy for {self._endpoint} answered {exc.status} "
                f"{exc.message}.",
                hint="Check HTTPS_PROXY and NO_PROXY in the dispatcher's environment.",
            ) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as exc:
            if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE):
                raise NotAccepted(
                    str(exc), f"Let the dispatcher have more files open (ulimit -n), {_FEWER}"
                ) from exc
            raise Unreachable(str(exc)) from exc
        except (aiohttp.ClientError, TimeoutError, OSError) as exc:
            raise ConnectionLost(str(exc) or type(exc).__name__) from exc

    def _refusal(self, name: str, status: int, headers: Any, body: bytes) -> Exception:
        """Return what an answer other than 200 means."""
        answer = {"status_code": status, "headers": headers, "body": body}
        exc = ClientError(self._errors.parse(answer, self._operation.output_shape), "Invoke")
        said = f"{error_code(exc)}: {error_message(exc)}"
        if error_code(exc) in _NOT_ACCEPTED:
            return NotAccepted(said, _NOT_ACCEPTED[error_code(exc)])
        if error_code(exc) == "ResourceNotFoundException":
            return FunctionMissing(name)
        if status >= _SERVER_ERROR and error_code(exc) not in self._decided:
            return ConnectionLost(said)
        return exc

    @cached_property
    def _operation(self) -> Any:
        return self._clients.functions.meta.service_model.operation_model("Invoke")

    @cached_property
    def _decided(self) -> frozenset[str]:
        return frozenset(shape.name for shape in self._operation.error_shapes) - _UNDECIDED

    @cached_property
    def _endpoint(self) -> str:
        return self._clients.functions.meta.endpoint_url

    @cached_property
    def _region(self) -> str:
        return self._clients.functions.meta.region_name

    @cached_property
    def _proxy(self) -> str | None:
        return self._clients.proxy_for(self._endpoint)

    def _url(self, name: str) -> str:
        return self._endpoint.rstrip("/") + _PATH.format(quote(name, safe=""))


class _LazySession:
    """The HTTP session of one event loop, opened when it is first needed."""

    def __init__(self, certificates: str) -> None:
        self._certificates = certificates
        self._session: aiohttp.ClientSession | None = None
        self._holder: AsyncGenerator[aiohttp.ClientSession, None] | None = None

    async def opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A loop that ends closes the generators that were begun on it, and so the session.
            # Opening waits for nothing: no other coroutine comes in between.
            self._holder = _session(self._certificates)
            self._session = await anext(self._holder)
        return self._session


async def _session(certificates: str) -> AsyncGenerator[aiohttp.ClientSession, None]:
    connector = aiohttp.TCPConnector(
        limit=0,
        keepalive_timeout=_IDLE_CONNECTION_S,
        socket_factory=_socket,
        ssl=ssl.create_default_context(cafile=certificates),
    )
    async with aiohttp.ClientSession(
        connector=connector,
        headers={"User-Agent": f"covalent-lambda-container/{version('covalent-lambda-container')}"},
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield session


def _socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """Make a socket that stays known to gateways while nothing is said on it.

    AWS's NAT gateways and load balancers forget a connection that is silent for 350 seconds ("NAT
    gateway basics", VPC user guide, read 2026-11); a task may be silent for 900.
    """
    family, kind, protocol, _, _ = address
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in _KEEP_ALIVE_OPTIONS:
        made.setsockopt(socket.IPPROTO_TCP, option, _KEEP_ALIVE_S)
    return made


@lru_cache(maxsize=64)
def _signed_posts(
    credentials: ReadOnlyCredentials,
    region: str,
    url: str,
    second: int,  # noqa: ARG001 - Lambda refuses signatures of another time
) -> SignedPosts:
    return SignedPosts(credentials, region, service="lambda", url=url, headers=_HEADERS)


@lru_cache(maxsize=64)
def _timeout(timeout_s: int) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=None, sock_connect=_CONNECT_TIMEOUT_S, sock_read=timeout_s + _READ_RESERVE_S
    )


@lru_cache(maxsize=1024)
def _parsed_url(url: str) -> URL:
    return URL(url, encoded=True)


async def _parsed(body: bytes) -> Any:
    return json.loads(body) if len(body) < BRIEF_BYTES else await in_thread(json.loads, body)
