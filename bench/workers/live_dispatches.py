"""Dispatches a lattice of long electrons, with and without showing their output meanwhile.

Runs in the environment of a client of the server.
"""

from __future__ import annotations

from typing import Any

import covalent as ct

from bench.sampling import turns
from bench.workers import protocol
from bench.workers.dispatches import dispatched


def lattice(*, live: bool) -> Any:
    """Return a lattice of as many electrons as its argument says, none waiting for another."""
    executor = ct.executor.AWSLambdaContainerExecutor(live_output=live)

    @ct.electron(executor=executor)  # type: ignore[untyped-decorator]
    def task(number: int) -> None:  # noqa: ARG001
        return None

    @ct.lattice(executor=executor, workflow_executor="local")  # type: ignore[untyped-decorator]
    def workflow(count: int) -> list[None]:
        return [task(number) for number in range(count)]

    return workflow


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Time ``rounds`` dispatches of ``electrons`` electrons on each side, in seconds."""
    lattices = {"shown": lattice(live=True), "not shown": lattice(live=False)}
    dispatched(lattices["shown"], 1)
    samples: dict[str, list[float]] = {side: [] for side in lattices}
    for side in turns(tuple(lattices), request["rounds"]):
        samples[side].append(dispatched(lattices[side], request["electrons"]))
    return samples


if __name__ == "__main__":
    protocol.answer(measure)
