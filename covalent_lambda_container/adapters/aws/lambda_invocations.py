"""Lambda's Invoke on the event loop: thousands of invocations at once, without a thread for each.

boto3 has no asynchronous client. pyqwest sends the requests, from threads that rarely need the
interpreter's lock, and creates few objects for the garbage collector. botocore finds the endpoint,
the credentials and the proxy, signs requests, and parses errors.
"""

from __future__ import annotations

import base64
import os
import time
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlsplit

from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError
from pyqwest import Client, FullResponse, HTTPTransport, HTTPVersion, Proxy

from covalent_lambda_container.adapters.aws import process_exit
from covalent_lambda_container.adapters.aws.aws_errors import (
    REFUSED_CREDENTIALS,
    error_code,
    explained,
)
from covalent_lambda_container.adapters.aws.invoke_errors import Refusals, not_connected
from covalent_lambda_container.adapters.aws.session import AwsClients
from covalent_lambda_container.adapters.aws.sigv4 import SignedPosts
from covalent_lambda_container.concurrency.event_loop import BRIEF_BYTES, in_thread
from covalent_lambda_container.errors import InvocationError, UnusableAnswer
from covalent_lambda_container.files.json_documents import UNQUOTED_BYTES, TooManyValues, parsed
from covalent_lambda_container.ports.functions import (
    ConnectionLost,
    CredentialsRefused,
    Reply,
)

_PATH: Final = "/2015-03-31/functions/{}/invocations"
_HEADERS: Final = {
    "Content-Type": "application/json",
    "User-Agent": f"covalent-lambda-container/{version('covalent-lambda-container')}",
    "X-Amz-Log-Type": "Tail",
}
_OPERATION: Final = "invoke function"
_OK: Final = 200
_CONNECT_TIMEOUT_S: Final = 10
_READ_RESERVE_S: Final = 30
_IDLE_CONNECTION_S: Final = 15
"""How long an idle connection is kept: less than Lambda does, which might otherwise close it just
as the next request is sent."""
_PORTS: Final = 2**16
"""More connections than can exist, so that none is closed because there are too many."""
_KEEP_ALIVE_S: Final = 5
"""Interval of TCP keep-alive probes. pyqwest sends the first after 15 seconds of silence and
gives up after 30 without a reply. Probes keep the connection known to AWS's NAT gateways and load
balancers, which forget one that is silent for 350 seconds ("NAT gateway basics",
VPC user guide, read 2026-11); a task may be silent for 900."""


class LambdaInvocations:
    """Invokes the functions of one account.

    Parameters
    ----------
    clients
        AWS clients of the account.
    """

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self._clients_by_timeout = lru_cache(maxsize=64)(self._new_client)

    async def invoke(self, name: str, event: bytes, *, timeout_s: int) -> Reply:
        """Invoke a function once and wait for its answer.

        Never sends twice: a request that was sent may have started the function.

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
            The function was not started: throttled, not ready, not reached (`Unreachable`), or
            refused with credentials that had been accepted before (`CredentialsRefused`).
        FunctionMissing
            The function does not exist.
        ConnectionLost
            There was no answer; the task may be running.
        UnusableAnswer
            The answer has more values than any answer of the handler.
        """
        url = self._url(name)
        generation = self._clients.generation
        headers = await self._headers(name, url, event)
        answer = await self._send(name, url, event, headers, timeout_s)
        if answer.status != _OK:
            headers = dict(answer.headers.items())
            error = self._refusals.error(name, answer.status, headers, answer.content)
            await self._check_credentials(error, generation)
            with explained(_OPERATION, name, InvocationError):
                raise error
        self._clients.note_accepted()
        try:
            payload = await _parsed(answer.content)
        except TooManyValues as exc:
            raise UnusableAnswer(
                f"Function {name} returned an unusable answer: {exc}.",
                hint="A task, or a package in its image, may have replaced or patched the handler.",
            ) from None
        except ValueError as exc:
            raise ConnectionLost(f"its answer cannot be read: {exc}") from exc
        return Reply(
            payload=payload,
            function_error=answer.headers.get("X-Amz-Function-Error", ""),
            log_tail=_log_tail(answer.headers.get("X-Amz-Log-Result", "")),
        )

    async def _headers(self, name: str, url: str, event: bytes) -> dict[str, str]:
        with explained(_OPERATION, name, InvocationError):
            await self._clients.renew_credentials()
            if len(event) < BRIEF_BYTES:
                return self._signed(url, event)
            return await in_thread(self._signed, url, event)

    async def _check_credentials(self, error: Exception, generation: int) -> None:
        """Raise `CredentialsRefused` if there are new credentials, or the old ones were right."""
        if not isinstance(error, ClientError) or error_code(error) not in REFUSED_CREDENTIALS:
            return
        if await in_thread(self._clients.replace_refused, generation):
            raise CredentialsRefused(f"AWS refused the credentials: {error}") from error

    def _signed(self, url: str, event: bytes) -> dict[str, str]:
        credentials, second = self._clients.frozen_credentials(), int(time.time())
        return _signed_posts(credentials, self._region, url, second).headers(event)

    async def _send(
        self, name: str, url: str, event: bytes, headers: dict[str, str], timeout_s: int
    ) -> FullResponse:
        client = self._client(name, timeout_s)
        try:
            return await client.post(url, headers, event)
        # The only error raised before there is a connection.
        except ConnectionError as exc:
            raise not_connected(name, self._endpoint, str(exc)) from exc
        except (TypeError, ValueError):
            # Its message would show the header, which may be a credential.
            raise InvocationError(
                f"Could not invoke function {name!r}: the request's headers cannot be sent over "
                "HTTP.",
                hint="Is there a line break in one of the AWS credentials?",
            ) from None
        # In all other cases, the request may have been sent.
        except Exception as exc:
            raise ConnectionLost(str(exc) or type(exc).__name__) from exc
        finally:
            process_exit.note_end_of_request()

    def _client(self, name: str, timeout_s: int) -> Client:
        if _sending_process() != os.getpid():
            raise InvocationError(
                f"Could not invoke function {name!r}: this process was forked from one that has "
                "invoked functions, and lacks the threads that send requests.",
                hint="Use multiprocessing's start method 'spawn', or fork earlier.",
            )
        try:
            return self._clients_by_timeout(timeout_s)
        except (OSError, RuntimeError, ValueError):
            # Its message may show the proxy's password.
            raise InvocationError(
                f"Could not invoke function {name!r}: no HTTP client can be created with the "
                f"authorities in {self._clients.certificates} and the proxy of the environment.",
                hint="Check AWS_CA_BUNDLE, a file of PEM certificates, and HTTPS_PROXY.",
            ) from None

    def _new_client(self, timeout_s: int) -> Client:
        """Return an HTTP client for functions with a timeout; it serves all event loops.

        It only uses HTTP/1.1: with HTTP/2, a server may cause a request to be sent twice.
        """
        proxy = self._clients.proxy_for(self._endpoint)
        # A proxy for another scheme than the requests': without any, pyqwest would look for one
        # itself, by other rules than botocore's.
        none = Proxy(
            "http://unused.example.com",
            scheme="http" if urlsplit(self._endpoint).scheme == "https" else "https",
        )
        transport = HTTPTransport(
            tls_ca_cert=Path(self._clients.certificates).read_bytes(),
            http_version=HTTPVersion.HTTP1,
            proxy=proxy or none,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=timeout_s + _READ_RESERVE_S,
            pool_idle_timeout=_IDLE_CONNECTION_S,
            pool_max_idle_per_host=_PORTS,
            tcp_keepalive_interval=_KEEP_ALIVE_S,
            # AWS's names are resolved once for thousands of connections: a VPC resolver takes 1,024
            # packets a second ("Hybrid Cloud DNS Options for Amazon VPC", read 2026-11). Other
            # names may be known to this machine only.
            use_system_dns=not self._clients.is_aws(self._endpoint) or proxy is not None,
            enable_gzip=False,
            enable_brotli=False,
            enable_zstd=False,
            follow_redirects=False,
            enable_otel=False,
        )
        return Client(transport)

    @cached_property
    def _refusals(self) -> Refusals:
        return Refusals(self._clients.functions.meta.service_model.operation_model("Invoke"))

    @cached_property
    def _endpoint(self) -> str:
        return self._clients.functions.meta.endpoint_url

    @cached_property
    def _region(self) -> str:
        return self._clients.functions.meta.region_name

    def _url(self, name: str) -> str:
        return self._endpoint.rstrip("/") + _PATH.format(quote(name, safe=""))


@lru_cache(maxsize=1)
def _sending_process() -> int:
    """Return the process with pyqwest's threads; a fork of it would wait for them forever."""
    return os.getpid()


@lru_cache(maxsize=64)
def _signed_posts(
    credentials: ReadOnlyCredentials,
    region: str,
    url: str,
    second: int,  # noqa: ARG001 - Lambda refuses signatures of another time
) -> SignedPosts:
    return SignedPosts(credentials, region, service="lambda", url=url, headers=_HEADERS)


def _log_tail(encoded: str) -> str:
    try:
        return base64.b64decode(encoded).decode("utf-8", "replace")
    except ValueError:
        # The answer matters more than its log.
        return ""


async def _parsed(body: bytes) -> Any:
    return parsed(body) if len(body) <= UNQUOTED_BYTES else await in_thread(parsed, body)
