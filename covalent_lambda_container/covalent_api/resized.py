"""Dispatches of a workflow with a different memory size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import covalent as ct
from covalent._shared_files.utils import format_server_url
from covalent._workflow.lattice import Lattice

from covalent_lambda_container.covalent_api.script import imported, lattices_of
from covalent_lambda_container.covalent_api.stored_dispatch import errors_of_server
from covalent_lambda_container.covalent_api.workflow import executor_options
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.model.names import SHORT_NAME
from covalent_lambda_container.options.schema import Options

_COMPLETED: Final = "COMPLETED"
_HINT: Final = "Start the server: covalent start"


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A dispatch that has ended: its id, and its error; empty if it completed."""

    dispatch_id: str
    error: str


class _Built(Lattice):
    """A lattice whose graph is dispatched as it is."""

    def build_graph(self, *args: Any, **kwargs: Any) -> None:
        """Keep the graph; called by `covalent.dispatch`."""


def resized(
    lattice: Lattice, memory_mb: int, *, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Lattice:
    """Return a copy of a lattice with its graph, whose electrons have a memory size.

    Electrons of sublattices keep theirs: Covalent builds their graphs later.
    """
    built, own = _graph_of(lattice, args, kwargs)
    for node in own:
        metadata = node["metadata"]
        metadata["executor_data"] = _with_memory(metadata["executor_data"], memory_mb)
    built.__class__ = _Built
    return built


def dispatch_resized(
    path: Path,
    name: str | None,
    memory_mb: int,
    *,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Ended:
    """Dispatch a file's lattice with a memory size, and wait until it has ended.

    Electrons of sublattices keep their memory size.

    Raises
    ------
    ConfigurationError
        The file does not have one such lattice, or Covalent's server does not answer.
    """
    with imported(path) as module:
        # Outside of what follows: the lattice may send requests of its own.
        lattice = resized(_one_lattice(module, path, name), memory_mb, args=args, kwargs=kwargs)
        address = format_server_url()
        with errors_of_server(address, "did not run the workflow", _HINT):
            dispatch_id = str(ct.dispatch(lattice, dispatcher_addr=address)(*args, **kwargs))
            result = ct.get_result(
                dispatch_id,
                wait=True,
                dispatcher_addr=address,
                workflow_output=False,
                intermediate_outputs=False,
            )
    status = str(result.status)
    if status == _COMPLETED:
        return Ended(dispatch_id=dispatch_id, error="")
    return Ended(dispatch_id=dispatch_id, error=str(result.error or f"it ended as {status}"))


def options_in_graph(
    path: Path, name: str | None, *, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> list[tuple[Options, int]]:
    """Return options and retries of each electron on the executor in a lattice's graph.

    Raises
    ------
    ConfigurationError
        The file does not have one such lattice.
    """
    with imported(path) as module:
        _, own = _graph_of(_one_lattice(module, path, name), args, kwargs)
        return [
            _options_and_retries(node["metadata"]["executor_data"])
            for node in own
            if not node["name"].startswith(":")
        ]


def _graph_of(
    lattice: Lattice, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[Lattice, list[dict[str, Any]]]:
    """Return a copy of a lattice with its graph, and those of its nodes on the executor."""
    built = deepcopy(lattice)
    built.build_graph(*args, **kwargs)
    nodes = built.transport_graph._graph.nodes.values()
    return built, [node for node in nodes if node["metadata"]["executor"] == SHORT_NAME]


def _one_lattice(module: Any, path: Path, name: str | None) -> Lattice:
    lattices = lattices_of(module, path, name)
    if len(lattices) > 1:
        raise ConfigurationError(
            f"{path} has the lattices {', '.join(lattices)}.",
            hint=f"Name one: {path}:{next(iter(lattices))}",
        )
    return next(iter(lattices.values()))


def _options_and_retries(executor_data: Mapping[str, Any] | None) -> tuple[Options, int]:
    options = executor_options(executor_data)
    named = _with_memory(executor_data, options.memory_size)
    return options, max(0, int(named["attributes"].get("retries") or 0))


def _with_memory(executor_data: Mapping[str, Any] | None, memory_mb: int) -> dict[str, Any]:
    data: Mapping[str, Any] = executor_data or {}
    if not data.get("attributes"):
        # Given only by name: its options are in the configuration.
        executor: Any = ct.executor.AWSLambdaContainerExecutor(memory_size=memory_mb)
        named: dict[str, Any] = executor.to_dict()
        return named
    return {**data, "attributes": {**data["attributes"], "memory_size": memory_mb}}
