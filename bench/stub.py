"""A stand-in for AWS that answers every Invoke after a fixed time: ``python -m bench.stub``.

Thousands of invocations at once are more than an emulator with real containers carries, so this
speaks just enough of IAM, S3, ECR and Lambda for an executor to find its role, bucket, image and
function, and then to invoke. It checks no signatures. One process, uvloop, a hand-written HTTP/1.1
parser: `bench.in_flight` measures that it is not what limits.

It prints its port, serves the loopback address, and ends when its standard input does. Of its own
paths, ``PUT /_bench/behaviour`` sets delay and answer, ``GET /_bench/event`` returns the last
invocation's event and ``GET /_bench/statistics`` what it saw since the behaviour was set.
"""

from __future__ import annotations

import asyncio
import base64
import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Final, cast

import uvloop

from covalent_lambda_container.runtime import wire

BEHAVIOUR_PATH: Final = "/_bench/behaviour"
EVENT_PATH: Final = "/_bench/event"
STATISTICS_PATH: Final = "/_bench/statistics"

_BACKLOG: Final = 16384
_DIGEST: Final = "sha256:" + "0" * 64
_LOG: Final = (
    "START RequestId: 00000000-0000-0000-0000-000000000000 Version: $LATEST\n"
    "END RequestId: 00000000-0000-0000-0000-000000000000\n"
    "REPORT RequestId: 00000000-0000-0000-0000-000000000000\tDuration: 1000.00 ms\t"
    "Billed Duration: 1000 ms\tMemory Size: 512 MB\tMax Memory Used: 64 MB\t\n"
)
_ROLE: Final = """<GetRoleResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
<GetRoleResult><Role><Path>/</Path><RoleName>stub</RoleName><RoleId>AROASTUB</RoleId>
<Arn>arn:aws:iam::000000000000:role/stub</Arn><CreateDate>2026-01-01T00:00:00Z</CreateDate>
</Role></GetRoleResult>
<ResponseMetadata><RequestId>stub</RequestId></ResponseMetadata></GetRoleResponse>"""
_IMAGES: Final = {
    "images": [{"imageId": {"imageDigest": _DIGEST, "imageTag": "stub"}}],
    "failures": [],
}
_REPOSITORIES: Final = {
    "repositories": [{"repositoryName": "stub", "repositoryUri": "stub.example.com/stub"}]
}
_DELETED: Final = "<DeleteResult></DeleteResult>"
_OUTPUT_KEY: Final = "/live"
"""End of the keys of running tasks' output."""
_FUNCTION: Final = {
    "Configuration": {"State": "Active", "LastUpdateStatus": "Successful"},
    "Code": {"RepositoryType": "ECR"},
}


class State:
    """The state shared by all connections."""

    def __init__(self) -> None:
        self.event = b""
        self.behave(0.0, None)

    def behave(self, delay_s: float, answer: bytes | None) -> None:
        """Answer invocations from now on with `answer` after `delay_s`, or with a refusal."""
        self.delay_s = delay_s
        if answer is None:
            refusal = b'{"Type": "User", "message": "The stub has no answer yet."}'
            headers = "X-Amzn-ErrorType: InvalidRequestContentException\r\n"
            self.answer = self.answer_with_log = response(400, refusal, headers)
        else:
            self.answer = response(200, answer)
            log = base64.b64encode(_LOG.encode()).decode()
            self.answer_with_log = response(200, answer, f"X-Amz-Log-Result: {log}\r\n")
        self.invocations = self.in_flight = self.peak_in_flight = 0
        self.output_reads = self.output_writes = 0
        self.latest_s = 0.0
        self.processor_s = _processor_s()

    def statistics(self) -> dict[str, Any]:
        """Return what was seen since the behaviour was set."""
        return {
            "invocations": self.invocations,
            "peak_in_flight": self.peak_in_flight,
            "output_reads": self.output_reads,
            "output_writes": self.output_writes,
            "latest_ms": round(self.latest_s * 1000, 3),
            "processor_s": round(_processor_s() - self.processor_s, 3),
        }


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other, as HTTP/1.1 clients send them."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are transports in all but their base class.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end]
        length = content_length(head)
        if len(self._received) < end + 4 + length:
            return
        body = self._received[end + 4 : end + 4 + length]
        self._received = b""
        method, path, _ = head[: head.find(b"\r\n")].decode().split(" ", 2)
        if path.endswith("/invocations"):
            self._invoke(head, body)
        else:
            self._transport.write(self._other(method, path, head, body))

    def _invoke(self, head: bytes, body: bytes) -> None:
        state = self._state
        state.event = body
        state.invocations += 1
        state.in_flight += 1
        state.peak_in_flight = max(state.peak_in_flight, state.in_flight)
        wants_log = b"x-amz-log-type: tail" in head.lower()
        answer = state.answer_with_log if wants_log else state.answer
        loop = asyncio.get_running_loop()
        due = loop.time() + state.delay_s
        loop.call_at(due, self._answer, answer, due)

    def _answer(self, answer: bytes, due: float) -> None:
        state = self._state
        state.in_flight -= 1
        state.latest_s = max(state.latest_s, time.monotonic() - due)
        if not self._transport.is_closing():
            self._transport.write(answer)

    def _other(self, method: str, path: str, head: bytes, body: bytes) -> bytes:
        state = self._state
        if path == BEHAVIOUR_PATH:
            wanted = json.loads(body)
            answer = wanted["answer"]
            state.behave(wanted["delay_s"], None if answer is None else answer.encode())
            return response(200, b"{}")
        if path == EVENT_PATH:
            return response(200, state.event)
        if path == STATISTICS_PATH:
            return response(200, json.dumps(state.statistics()).encode())
        if path.partition("?")[0].endswith(_OUTPUT_KEY):
            return self._output(method)
        return aws_answer(method, path, head, body)

    def _output(self, method: str) -> bytes:
        """Answer for S3, where a task that prints all the time has something new at each look."""
        state = self._state
        if method == "PUT":
            state.output_writes += 1
            return response(200, b"")
        state.output_reads += 1
        printed = f"look {state.output_reads}\n".encode() * 100
        content = b"".join(wire.pack_output(printed, b""))
        span = f"Content-Range: bytes 0-{len(content) - 1}/{len(content)}\r\n"
        return response(206, content, f'{span}ETag: "{state.output_reads}"\r\n')


def aws_answer(method: str, path: str, head: bytes, body: bytes) -> bytes:
    """Return what AWS says when everything that a task needs is there."""
    if path.startswith("/2015-03-31/functions/") and method == "GET":
        return response(200, json.dumps(_FUNCTION).encode())
    if b".BatchGetImage" in head:
        return response(200, json.dumps(_IMAGES).encode())
    if b".DescribeRepositories" in head:
        return response(200, json.dumps(_REPOSITORIES).encode())
    if b"Action=GetRole&" in body:
        return response(200, _ROLE.encode(), content_type="text/xml")
    if method == "POST" and path.endswith("?delete"):
        return response(200, _DELETED.encode(), content_type="text/xml")
    if method == "HEAD":
        return response(200, b"")
    return response(501, b'{"message": "The stub does not know this request."}')


def response(
    status: int, body: bytes, headers: str = "", *, content_type: str = "application/json"
) -> bytes:
    """Return a whole HTTP response."""
    head = (
        f"HTTP/1.1 {status} stub\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nX-Amzn-RequestId: stub\r\n{headers}\r\n"
    )
    return head.encode() + body


def content_length(head: bytes) -> int:
    """Return the length of the body that a request's head announces."""
    for line in head.split(b"\r\n"):
        if line[:15].lower() == b"content-length:":
            return int(line[15:])
    return 0


async def serve(announce: Callable[[int], None]) -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    state = State()

    def watch_stdin() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=watch_stdin, daemon=True).start()
    server = await loop.create_server(lambda: Connection(state), "127.0.0.1", 0, backlog=_BACKLOG)
    announce(server.sockets[0].getsockname()[1])
    await ended.wait()
    server.close()


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Serve with as many descriptors as are allowed, one for each client."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    uvloop.run(serve(lambda port: print(port, flush=True)))


if __name__ == "__main__":
    main()
