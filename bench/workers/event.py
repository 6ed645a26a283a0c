"""The event that the executor sends for a task, and the handler's answer to it.

The event goes to the stub, which keeps it and refuses. Both are the checkout's own, so that nothing
here has to know their form.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from typing import Any

from bench.stage import Stub
from bench.workers import protocol
from bench.workers.dispatcher import DispatchedTask, nothing, watched
from covalent_lambda_container.runtime.invocation import Handler


async def caught_event(options: dict[str, Any], stub: Stub) -> str:
    """Return the event that the executor sends for the task that does nothing.

    Parameters
    ----------
    options
        Executor options that lead to the stub.
    """
    stub.behave(0.0, None)
    with contextlib.suppress(Exception):
        # The stub refuses, once it has the event.
        await watched(asyncio.get_running_loop(), DispatchedTask(options, nothing())).run()
    return stub.event()


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Return ``event`` and ``answer``, both JSON texts."""
    event = asyncio.run(caught_event(request["options"], Stub(request["stub_port"])))
    with tempfile.TemporaryDirectory() as scratch:
        answer = Handler(scratch).handle(json.loads(event), None)
    return {"event": event, "answer": json.dumps(answer)}


if __name__ == "__main__":
    protocol.answer(measure)
