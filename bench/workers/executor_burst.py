"""A burst of the executor's run() against the stub."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.workers import burst
from bench.workers.dispatcher import DispatchedTask, nothing, watched


async def executor(request: dict[str, Any]) -> burst.Burst:
    """Run ``tasks`` tasks at once, each with an executor instance of its own."""
    loop = asyncio.get_running_loop()
    function = nothing()

    def task(node_id: int) -> DispatchedTask:
        return watched(loop, DispatchedTask(request["options"], function, node_id=node_id))

    for node_id in range(burst.WARM_UP):
        await task(node_id).run()
    return await burst.burst([task(node_id).run for node_id in range(request["tasks"])])


if __name__ == "__main__":
    burst.serve(executor)
