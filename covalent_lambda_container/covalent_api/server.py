"""Queries to Covalent's server about the dispatch of a task."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from covalent_lambda_container.errors import InvocationError

_PATIENCE_S: Final = 120.0
"""A server with many dispatches may take longer than the 5 s that Covalent waits."""


async def covalent_version(executor: Any, patience_s: float = _PATIENCE_S) -> str:
    """Return the version of Covalent, ``"0.240.0"``, that dispatched an executor's task.

    Raises
    ------
    InvocationError
        The server did not answer in time.
    """
    try:
        try:
            answer = await executor.get_version_info()
        except asyncio.TimeoutError:
            # The query was sent, and nothing else is waiting for an answer.
            answer = await executor._wait_for_response(timeout=patience_s)
    except (asyncio.TimeoutError, RuntimeError) as exc:
        raise InvocationError(
            f"Covalent's server did not say within {patience_s:.0f} s which version of Covalent "
            "dispatched the task, whose image needs the same one.",
            hint="The task did not run. Dispatch again when the server is less busy; 'covalent "
            "logs' shows its log.",
        ) from exc
    return str(answer["covalent"])
