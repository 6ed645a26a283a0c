"""Covalent's dispatcher as an executor sees it, without Covalent's server."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from covalent._workflow.transport import TransportableObject
from covalent.executor.utils import Signals
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.awslambda_container import AWSLambdaContainerExecutor


class DispatchedTask:
    """One task, with an executor instance of its own, as Covalent makes one for each.

    Created before the clock starts: its memory is Covalent's, not the executor's.

    Parameters
    ----------
    options
        The executor's.
    function
        The electron's function; a local one, which is pickled by value.
    arguments
        Its arguments.
    node_id
        Its number.
    """

    def __init__(
        self,
        options: dict[str, Any],
        function: Callable[..., Any],
        arguments: Sequence[TransportableObject] = (),
        node_id: int = 0,
    ) -> None:
        self._executor: Any = AWSLambdaContainerExecutor(**options)
        self._executor._init_runtime()
        # As AsyncBaseExecutor.execute does before it calls run().
        self._executor._task_stdout = io.StringIO()
        self._executor._task_stderr = io.StringIO()
        self._function = partial(wrapper_fn, TransportableObject(function), [], [])
        self._arguments = list(arguments)
        self._metadata = {"dispatch_id": "bench", "node_id": node_id, "results_dir": "/nowhere"}

    async def run(self) -> TransportableObject:
        """Call the executor's run()."""
        return await self._executor.run(self._function, self._arguments, {}, self._metadata)

    async def watch(self) -> None:
        """Answer the executor's questions and notes, as Covalent's executor_proxy does."""
        answers = {"cancel_requested": False, "version_info": {}, "job_status": None}
        while True:
            action, body = await self._executor._send_queue.get()
            if action == Signals.EXIT:
                return
            known = answers.get(body) if action == Signals.GET else None
            self._executor._recv_queue.put_nowait((True, known))


def watched(loop: asyncio.AbstractEventLoop, task: DispatchedTask) -> DispatchedTask:
    """Have a task's questions answered on a loop."""
    _watching.add(loop.create_task(task.watch()))
    return task


_watching: set[asyncio.Task[None]] = set()


def nothing() -> Callable[[], None]:
    """Return a function that does nothing, defined here and yet pickled by value."""

    def task() -> None:
        return None

    return task
