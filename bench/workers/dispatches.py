"""Dispatches a lattice of independent electrons, turn by turn with several executors.

Runs in the environment of a client of the server. A dispatch's duration is the time between the
server's own records of its start and end: a waiting client polls only once a second.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, Final

import covalent as ct

from bench.sampling import turns
from bench.workers import protocol
from bench.workers.bare import client, function_with_memory, invocations_url, session

#: Most dispatches take longer; a poll that finds one unfinished costs both sides the same.
_LEAST_S: Final = 0.5
_LEAST_EACH_S: Final = 0.1
_EXECUTORS: Final = {
    "executor": "awslambda_container",
    "noop": "noop",
    "bare invocation": "bare_invocation",
}
#: Names the function among those of this stack: the executor's default.
_MEMORY_MB: Final = 512


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
    electrons = request["electrons"]
    lattices = {side: lattice(name) for side, name in _EXECUTORS.items()}
    # Makes image and function.
    dispatched(lattices["executor"], 1)
    _describe_invocation(request)
    for workflow in lattices.values():
        # Starts as many containers as it takes, and fills caches on all sides.
        dispatched(workflow, electrons)
    samples: dict[str, list[float]] = {side: [] for side in lattices}
    for side in turns(tuple(lattices), request["rounds"]):
        samples[side].append(dispatched(lattices[side], electrons))
    return samples


def _describe_invocation(request: dict[str, Any]) -> None:
    """Tell the executor of a bare invocation what it sends, and where."""
    options = request["options"]
    # The dispatcher itself may not list functions.
    owner = client(options | {"profile": request["owner_profile"]}, "lambda")
    name = function_with_memory(owner, _MEMORY_MB)
    credentials: Any = session(options).get_credentials()
    described = {
        "url": invocations_url(options, name),
        "event": request["event"],
        "region": options["region"],
        "access_key": credentials.access_key,
        "secret_key": credentials.secret_key,
    }
    Path(request["invocation_file"]).write_text(json.dumps(described), "utf-8")


if __name__ == "__main__":
    protocol.answer(measure)
