"""Queries to Covalent's server, which may be slow."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from covalent.executor.executor_plugins.dask import DaskExecutor

from covalent_lambda_container.covalent_api.server import covalent_version
from covalent_lambda_container.errors import InvocationError


class QuickTempered(DaskExecutor):  # type: ignore[misc]
    """An executor of Covalent's that gives up after a moment, as all do after 5 s."""

    async def _wait_for_response(self, timeout: float = 0.05) -> Any:
        return await super()._wait_for_response(timeout)


def ask(answer: tuple[bool, Any] | None, after_s: float, patience_s: float = 5) -> str:
    """Ask with a server that answers after a time, or never."""

    async def asking() -> str:
        executor = QuickTempered()
        executor._init_runtime(loop=asyncio.get_running_loop())

        async def serve() -> None:
            await executor._send_queue.get()
            await asyncio.sleep(after_s)
            if answer is not None:
                executor._recv_queue.put_nowait(answer)

        serving = asyncio.create_task(serve())
        try:
            return await covalent_version(executor, patience_s)
        finally:
            await serving

    return asyncio.run(asking())


@pytest.mark.parametrize("after_s", [0, 0.2])
def test_the_version_is_known_however_long_the_answer_takes(after_s: float) -> None:
    assert ask((True, {"python": "3.11.7", "covalent": "0.240.0"}), after_s) == "0.240.0"


@pytest.mark.parametrize("answer", [None, (False, None)])
def test_a_server_that_does_not_answer_is_named(answer: Any) -> None:
    with pytest.raises(InvocationError, match="Covalent's server did not say within 0 s"):
        ask(answer, 0, patience_s=0.1)
