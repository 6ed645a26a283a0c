"""Runs the task that does nothing, so that its image and function exist."""

from __future__ import annotations

import asyncio
from typing import Any

from bench.workers import protocol
from bench.workers.dispatcher import DispatchedTask, nothing, watched


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Run it with the executor's ``options``."""

    async def run() -> None:
        task = DispatchedTask(request["options"], nothing())
        await watched(asyncio.get_running_loop(), task).run()

    asyncio.run(run())
    return {}


if __name__ == "__main__":
    protocol.answer(measure)
