"""A burst of the executor's run() against the stub, or of the bare client in a similar process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bench.workers import bare_burst, burst
from bench.workers.dispatcher import DispatchedTask, nothing, watched


def prepared(request: dict[str, Any], count: int) -> list[DispatchedTask]:
    """Return tasks as Covalent has them when it calls the executor, each with its instance."""
    loop, function = asyncio.get_running_loop(), nothing()
    return [
        watched(loop, DispatchedTask(request["options"], function, node_id=node_id))
        for node_id in range(count)
    ]


async def executor(request: dict[str, Any]) -> burst.Burst:
    """Run ``tasks`` tasks at once."""
    for task in prepared(request, burst.WARM_UP):
        await task.run()
    return await burst.burst([task.run for task in prepared(request, request["tasks"])])


async def bare_beside_tasks(request: dict[str, Any]) -> burst.Burst:
    """Send as many requests by the bare client, beside the objects of Covalent and of its tasks."""
    tasks = prepared(request, request["tasks"])
    taken = await bare_burst.with_pyqwest(request)
    del tasks
    return taken


_SIDES: Final[dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, burst.Burst]]]] = {
    "executor": executor,
    "bare beside tasks": bare_beside_tasks,
}


if __name__ == "__main__":
    burst.serve(lambda request: _SIDES[request["side"]](request))
