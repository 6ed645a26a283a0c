"""Starts execution environments ahead of tasks."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Final

from covalent_lambda_container.options.limits import CONCURRENCY_QUOTA
from covalent_lambda_container.ports.functions import Invocations
from covalent_lambda_container.runtime import wire

log = logging.getLogger(__name__)

_PING_HOLD_S: Final = 0.2
"""Time that a ping keeps its execution environment busy, so that each ping gets its own."""


async def prewarm(
    invocations: Invocations, function_name: str, count: int, *, timeout_s: int
) -> int:
    """Start execution environments of a function with as many simultaneous pings.

    Each ping occupies its environment for a moment, so that the next one needs another. A ping
    that fails is logged and raises no error: the tasks that follow report the problem.

    Parameters
    ----------
    invocations
        Client that invokes the function.
    function_name
        The function; it must exist and not be Pending.
    count
        Pings, at most `CONCURRENCY_QUOTA`.
    timeout_s
        The function's timeout.

    Returns
    -------
    int
        Environments that were started; existing ones do not count.
    """
    ping = json.dumps({"v": wire.VERSION, "ping": True, "hold_s": _PING_HOLD_S}).encode()

    async def start() -> bool:
        try:
            reply = await invocations.invoke(function_name, ping, timeout_s=timeout_s)
            if reply.payload.get("pong"):
                return bool(reply.payload["cold"])
            log.warning("Function %s did not answer a ping: %s", function_name, reply.payload)
        # Any exception: it must not become a task's error.
        except Exception as exc:
            log.warning("A ping to function %s failed: %r", function_name, exc)
        return False

    pings = max(0, min(count, CONCURRENCY_QUOTA))
    started = sum(await asyncio.gather(*(start() for _ in range(pings))))
    log.info("Function %s: %d of %d pings started an environment.", function_name, started, pings)
    return started
