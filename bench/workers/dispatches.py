"""Dispatches a lattice of independent electrons, turn by turn with two executors.

Runs in the environment of a client of the server. What a dispatch took is the time between the
server's own records of its start and its end: a client that waits polls once a second.
"""

from __future__ import annotations

import time
from typing import Any, Final

import covalent as ct

from bench.sampling import turns
from bench.workers import protocol

#: Most dispatches take longer; a poll that finds one unfinished costs both sides the same.
_LEAST_S: Final = 0.5
_LEAST_EACH_S: Final = 0.1
_EXECUTORS: Final = {"executor": "awslambda_container", "noop": "noop"}


def lattice(executor: str) -> Any:
    """Return a lattice of as many electrons as its argument says, none waiting for another."""

    @ct.electron(executor=executor)  # type: ignore[untyped-decorator]
    def task(number: int) -> None:  # noqa: ARG001
        return None

    # Post-processing is Covalent's: it is left out, on both sides, by the executor that does
    # nothing.
    @ct.lattice(executor=executor, workflow_executor="noop")  # type: ignore[untyped-decorator]
    def workflow(count: int) -> list[None]:
        return [task(number) for number in range(count)]

    return workflow


def dispatched(workflow: Any, electrons: int) -> float:
    """Dispatch a lattice and return the seconds that it took.

    Raises
    ------
    RuntimeError
        When it did not complete.
    """
    dispatch_id = ct.dispatch(workflow)(electrons)
    # Who asks for the result keeps the server from making it.
    time.sleep(_LEAST_S + electrons * _LEAST_EACH_S)
    result = ct.get_result(dispatch_id, wait=True)
    if result.status != ct.status.COMPLETED:
        raise RuntimeError(f"dispatch {dispatch_id} is {result.status}: {result.error}")
    return float((result.end_time - result.start_time).total_seconds())


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Time ``rounds`` dispatches of ``electrons`` electrons with each executor, in seconds."""
    lattices = {side: lattice(name) for side, name in _EXECUTORS.items()}
    for workflow in lattices.values():
        # The first makes image and function, and fills caches on both sides.
        dispatched(workflow, 1)
    samples: dict[str, list[float]] = {side: [] for side in lattices}
    for side in turns(tuple(lattices), request["rounds"]):
        samples[side].append(dispatched(lattices[side], request["electrons"]))
    return samples


if __name__ == "__main__":
    protocol.answer(measure)
