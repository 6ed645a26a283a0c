"""One task with a large result or argument, or boto3's transfer of the same bytes through S3."""

from __future__ import annotations

import asyncio
import base64
import io
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final

import cloudpickle
import uvloop
from covalent._workflow.transport import TransportableObject

from bench.workers import protocol
from bench.workers.bare import client
from bench.workers.dispatcher import DispatchedTask, nothing, watched
from bench.workers.memory import PeakMemory

_KEY: Final = "covalent-lambda/bench/large"
#: The most that Lambda gives, and the longest.
_FUNCTION: Final = {"memory_size": 10240, "timeout": 900}


async def result(request: dict[str, Any]) -> dict[str, Any]:
    """Measure run() of a task that returns that many bytes."""
    size: int = request["bytes"]

    def task() -> bytes:
        return b"x" * size

    options = await _warmed(request["options"])
    memory = PeakMemory()
    seconds, returned = await _timed(options, task)
    peak_bytes = memory.rise_bytes
    _expect_text_of(size, returned.get_serialized())
    return {"seconds": seconds, "peak_bytes": peak_bytes, "given_bytes": 0}


async def argument(request: dict[str, Any]) -> dict[str, Any]:
    """Measure run() of a task that takes that many bytes.

    The argument's own base64 text, which Covalent holds meanwhile, counts as memory in use.
    """
    size: int = request["bytes"]

    def task(given: bytes) -> int:
        return len(given)

    options = await _warmed(request["options"])
    memory = PeakMemory()
    given = TransportableObject(None)
    # Covalent's own constructor would also keep str() of it.
    given._object = base64.b64encode(cloudpickle.dumps(b"x" * size)).decode()
    memory.forget_peak()
    seconds, returned = await _timed(options, task, given)
    peak_bytes = memory.rise_bytes
    if returned.get_deserialized() != size:
        raise RuntimeError("The argument did not arrive whole.")
    return {
        "seconds": seconds,
        "peak_bytes": peak_bytes,
        "given_bytes": len(given.get_serialized()),
    }


async def put_and_get(request: dict[str, Any]) -> dict[str, Any]:
    """Time put_object and get_object of that many bytes."""
    s3, bucket = _bucket(request["options"])
    body = b"x" * request["bytes"]
    started = time.perf_counter()
    s3.put_object(Bucket=bucket, Key=_KEY, Body=body)
    received = s3.get_object(Bucket=bucket, Key=_KEY)["Body"].read()
    return _moved(s3, bucket, time.perf_counter() - started, len(received) == len(body))


async def upload_and_download(request: dict[str, Any]) -> dict[str, Any]:
    """Time upload_fileobj and download_fileobj of that many bytes: parts, in threads."""
    s3, bucket = _bucket(request["options"])
    body, received = io.BytesIO(b"x" * request["bytes"]), io.BytesIO()
    started = time.perf_counter()
    s3.upload_fileobj(body, bucket, _KEY)
    s3.download_fileobj(bucket, _KEY, received)
    whole = received.getbuffer().nbytes == request["bytes"]
    return _moved(s3, bucket, time.perf_counter() - started, whole)


def _bucket(options: dict[str, Any]) -> tuple[Any, str]:
    s3 = client(options, "s3", s3={"addressing_style": "path"})
    bucket = options["s3_bucket_name"]
    s3.head_bucket(Bucket=bucket)
    return s3, bucket


def _moved(s3: Any, bucket: str, seconds: float, whole: bool) -> dict[str, Any]:
    s3.delete_object(Bucket=bucket, Key=_KEY)
    if not whole:
        raise RuntimeError("The object did not come back whole.")
    return {"seconds": seconds}


async def _warmed(options: dict[str, Any]) -> dict[str, Any]:
    """Return options of a function that is there, with a container that waits."""
    warmed = options | _FUNCTION
    await _timed(warmed, nothing())
    return warmed


async def _timed(
    options: dict[str, Any], function: Callable[..., Any], *arguments: TransportableObject
) -> tuple[float, Any]:
    task = DispatchedTask(options, function, arguments)
    watched(asyncio.get_running_loop(), task)
    started = time.perf_counter()
    returned = await task.run()
    return time.perf_counter() - started, returned


def _expect_text_of(size: int, text: str) -> None:
    if len(text) < size * 4 // 3:
        raise RuntimeError(f"The result's base64 text has {len(text)} characters only.")


_SIDES: Final[dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]]] = {
    "result": result,
    "argument": argument,
    "put and get": put_and_get,
    "upload and download": upload_and_download,
}


if __name__ == "__main__":
    protocol.answer(lambda request: uvloop.run(_SIDES[request["side"]](request)))
