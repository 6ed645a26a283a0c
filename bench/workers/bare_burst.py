"""A burst of a bare client against the stub: as many of the same events, answers not parsed.

Covalent is not imported here: a bare client has nothing to do with it, and its garbage collector
has none of Covalent's objects to look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import aiohttp
import botocore.auth
import botocore.awsrequest
import pyqwest

from bench.workers import burst
from bench.workers.bare import client, invocations_url, session

_NAME: Final = "stub"
#: Requests on their way out at once. All of them together are slower: they connect, sign and time
#: out in turns of thousands.
_STARTING: Final = 8


async def threads(request: dict[str, Any]) -> burst.Burst:
    """boto3's invoke in a thread for each task."""
    count, event = request["tasks"], request["event"].encode()
    invoker = client(
        request["options"],
        "lambda",
        max_pool_connections=count,
        read_timeout=900,
        retries={"total_max_attempts": 1},
    )

    def invoke() -> None:
        invoker.invoke(FunctionName=_NAME, Payload=event)["Payload"].read()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(count) as pool:
        sends: list[burst.Send] = [lambda: loop.run_in_executor(pool, invoke)] * count
        for send in sends[: burst.WARM_UP]:
            await send()
        return await burst.burst(sends)


Invoke = Callable[[str, bytes, dict[str, str]], Awaitable[None]]


async def with_aiohttp(request: dict[str, Any]) -> burst.Burst:
    """An aiohttp session whose requests botocore signs."""
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as http:

        async def invoke(url: str, event: bytes, headers: dict[str, str]) -> None:
            async with http.post(url, data=event, headers=headers) as answer:
                await answer.read()
                answer.raise_for_status()

        return await _signed(request, invoke)


async def with_pyqwest(request: dict[str, Any]) -> burst.Burst:
    """A pyqwest client whose requests botocore signs."""
    http = pyqwest.Client(
        pyqwest.HTTPTransport(
            http_version=pyqwest.HTTPVersion.HTTP1,
            pool_max_idle_per_host=request["tasks"],
            enable_otel=False,
        )
    )

    async def invoke(url: str, event: bytes, headers: dict[str, str]) -> None:
        answer = await http.post(url, headers, event)
        if answer.status != 200:
            raise RuntimeError(answer.content[:200])

    return await _signed(request, invoke)


async def _signed(request: dict[str, Any], invoke: Invoke) -> burst.Burst:
    loop = asyncio.get_running_loop()
    count, event = request["tasks"], request["event"].encode()
    options = request["options"]
    credentials: Any = session(options).get_credentials()
    frozen = credentials.get_frozen_credentials()
    sign = botocore.auth.SigV4Auth(frozen, "lambda", options["region"]).add_auth
    url = invocations_url(options, _NAME)
    starting = asyncio.Semaphore(_STARTING)

    async def send() -> None:
        await starting.acquire()
        loop.call_soon(starting.release)
        signed = botocore.awsrequest.AWSRequest(method="POST", url=url, data=event)
        sign(signed)
        await invoke(url, event, dict(signed.headers))

    for _ in range(burst.WARM_UP):
        await send()
    return await burst.burst([send] * count)


class _Raw(asyncio.Protocol):
    """Sends one request when connected, and says when the answer begins."""

    def __init__(self, request: bytes, answered: asyncio.Future[bytes]) -> None:
        self._request, self._answered = request, answered

    def connection_made(self, transport: Any) -> None:
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._answered.done():
            self._answered.set_result(data)


async def unsigned(request: dict[str, Any]) -> burst.Burst:
    """Raw sockets, one per task, and bytes prepared once: the limit of what the stub can do."""
    loop = asyncio.get_running_loop()
    event = request["event"].encode()
    endpoint = request["options"]["endpoint_url"]
    path = invocations_url(request["options"], _NAME).removeprefix(endpoint)
    port = int(endpoint.rpartition(":")[2])
    head = f"POST {path} HTTP/1.1\r\nHost: stub\r\nContent-Length: {len(event)}\r\n\r\n"

    async def invoke() -> None:
        answered: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_connection(
            lambda: _Raw(head.encode() + event, answered), "127.0.0.1", port
        )
        try:
            if not (await answered).startswith(b"HTTP/1.1 200"):
                raise RuntimeError(answered.result()[:200])
        finally:
            transport.close()

    return await burst.burst([invoke] * request["tasks"])


_CLIENTS: Final[dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, burst.Burst]]]] = {
    "threads": threads,
    "aiohttp": with_aiohttp,
    "pyqwest": with_pyqwest,
    "unsigned": unsigned,
}


if __name__ == "__main__":
    burst.serve(lambda request: _CLIENTS[request["side"]](request))
