"""Latency of one invocation, and of twenty at once: executor and bare boto3, turn by turn.

The bare side replays the event that the executor sent, caught by the stub, so that the function
does the same work on both sides.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import docker
import uvloop

from bench.sampling import turns
from bench.stage import Stub
from bench.workers import protocol
from bench.workers.bare import client, function_with_memory
from bench.workers.dispatcher import DispatchedTask, nothing, watched
from bench.workers.event import caught_event

#: Names the function among those of this stack.
_MEMORY_MB: Final = 512
_WARM_UP: Final = 5


class Sides:
    """The two ways of invoking the same function.

    Parameters
    ----------
    request
        ``options`` and ``stub_options`` of the executor, ``stub_port``, ``owner_profile``,
        ``at_once``.
    """

    def __init__(self, request: dict[str, Any]) -> None:
        self._options = request["options"] | {"memory_size": _MEMORY_MB}
        self._loop = uvloop.new_event_loop()
        self._at_once: int = request["at_once"]
        # Builds the image and makes the function.
        self._run(1)
        self._bare = client(self._options, "lambda", max_pool_connections=self._at_once)
        # The dispatcher itself may not list functions.
        owner = client(self._options | {"profile": request["owner_profile"]}, "lambda")
        self._name = function_with_memory(owner, _MEMORY_MB)
        stub = Stub(request["stub_port"])
        event = self._loop.run_until_complete(caught_event(request["stub_options"], stub))
        self._event = event.encode()
        self._threads = ThreadPoolExecutor(self._at_once)

    @property
    def by_name(self) -> dict[str, Callable[[], float]]:
        """Both sides; each invokes as often at once as was asked for, and returns seconds."""
        return {
            "executor": functools.partial(self._run, self._at_once),
            "bare": functools.partial(self._invoke, self._at_once),
        }

    def _run(self, count: int) -> float:
        tasks = [
            watched(self._loop, DispatchedTask(self._options, nothing(), node_id=node_id))
            for node_id in range(count)
        ]

        async def all_of_them() -> float:
            started = time.perf_counter()
            coroutines = [self._loop.create_task(task.run()) for task in tasks]
            for coroutine in coroutines:
                await coroutine
            return time.perf_counter() - started

        return self._loop.run_until_complete(all_of_them())

    def _invoke(self, count: int) -> float:
        started = time.perf_counter()
        if count == 1:
            self._invoke_once()
        else:
            for future in [self._threads.submit(self._invoke_once) for _ in range(count)]:
                future.result()
        return time.perf_counter() - started

    def _invoke_once(self) -> None:
        answer = self._bare.invoke(FunctionName=self._name, Payload=self._event)
        body = answer["Payload"].read()
        if "FunctionError" in answer:
            raise RuntimeError(f"The replayed event failed: {body!r}")


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Time both sides ``rounds`` times, with ``cold`` in a container of its own each time."""
    sides = Sides(request).by_name
    samples: dict[str, list[float]] = {name: [] for name in sides}
    before = functools.partial(_remove_containers, request) if request["cold"] else _leave_be
    for _ in range(0 if request["cold"] else _WARM_UP):
        for side in sides.values():
            side()
    for name in turns(tuple(sides), request["rounds"]):
        before()
        samples[name].append(sides[name]() * 1000)
    return samples


def _leave_be() -> None:
    pass


def _remove_containers(request: dict[str, Any]) -> None:
    """Remove all containers of the local AWS, so that it has to start one."""
    port = request["options"]["endpoint_url"].rpartition(":")[2]
    with contextlib.closing(docker.from_env()) as engine:
        for container in engine.containers.list(filters={"label": "ministack.instance"}):
            if container.labels["ministack.instance"].endswith(f":{port}"):
                container.remove(force=True, v=True)


if __name__ == "__main__":
    protocol.answer(measure)
