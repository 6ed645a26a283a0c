"""Runs single functions through the executor as Covalent's dispatcher would."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import Any

from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container import AWSLambdaContainerExecutor


@dataclass(frozen=True)
class Ended:
    """The outcome of a function on the executor."""

    value: Any
    stdout: str
    stderr: str
    status: str


def assembled(function: Any, before: list[Any] | None = None) -> Any:
    """Return what Covalent's dispatcher hands to an executor."""
    return partial(wrapper_fn, TransportableObject(function), before or [], [])


async def execute(
    executor: AWSLambdaContainerExecutor,
    function: Any,
    *args: Any,
    pip: Any = None,
    node_id: int = 0,
) -> Ended:
    """Run a function on the executor."""
    # Covalent makes an executor for every task.
    own = AWSLambdaContainerExecutor()
    own.from_dict(executor.to_dict())
    own._init_runtime()
    before = [pip.apply()] if pip else []
    result, stdout, stderr, status = await own.execute(
        assembled(function, before),
        [TransportableObject(arg) for arg in args],
        {},
        "dispatch",
        "/nowhere",
        node_id,
    )
    value = result.get_deserialized() if result else None
    return Ended(value, stdout, stderr, str(status))


def run(executor: AWSLambdaContainerExecutor, function: Any, *args: Any, pip: Any = None) -> Ended:
    """Run a function on the executor and wait for its end."""
    return asyncio.run(execute(executor, function, *args, pip=pip))
