"""The tasks of a workflow that has not run, read from its graph."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from covalent._shared_files.defaults import (
    WAIT_EDGE_NAME,
    electron_dict_prefix,
    electron_list_prefix,
    sublattice_prefix,
)
from covalent._workflow.lattice import Lattice
from covalent.executor.utils.wrappers import _gather_deps, wrapper_fn

from covalent_lambda_container.covalent_api.collections import is_collection
from covalent_lambda_container.covalent_api.graph import (
    ASK_A_RUN,
    UNKNOWN,
    arguments_of,
    built_graph,
    missing_arguments,
)
from covalent_lambda_container.covalent_api.script import electrons_of, imported, lattices_of
from covalent_lambda_container.covalent_api.task import Task, read_task
from covalent_lambda_container.errors import ConfigurationError, LambdaContainerError
from covalent_lambda_container.model.names import SHORT_NAME
from covalent_lambda_container.options.resolve import resolve, stored
from covalent_lambda_container.options.schema import Options

THE_ONLY_ONE: Final = ""
"""Stands for the name of a lattice whose arguments were given without one."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of a lattice.

    Parameters
    ----------
    args, kwargs
        Positional and named ones.
    """

    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class WorkflowTask:
    """One task of a workflow on this executor.

    Parameters
    ----------
    name
        Its position: ``"workflow.py:workflow/accuracy"``.
    task
        The task without its arguments.
    options
        Options of its executor.
    """

    name: str
    task: Task
    options: Options


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """The tasks found in a workflow's file.

    Parameters
    ----------
    tasks
        Tasks on this executor, in the order of the graph.
    guesses
        Sentences about facts that are known only when the workflow runs.
    lattices
        Names of the lattices in which they were searched.
    failures
        Lattices and tasks that could not be read, each with the reason.
    """

    tasks: tuple[WorkflowTask, ...]
    guesses: tuple[str, ...]
    lattices: tuple[str, ...]
    failures: tuple[LambdaContainerError, ...]


def read_workflow(
    path: Path,
    name: str | None,
    arguments: Mapping[str, Arguments] = MappingProxyType({}),
) -> Workflow:
    """Import a file and find the tasks of its lattices that use the executor.

    The file runs like a script except for ``__name__``: code under ``if __name__ == "__main__"``
    does not run.
    Missing arguments of a lattice are replaced by the output of an electron. The file's other
    electrons are then included as well, since the lattice might call them for other arguments.
    A lattice or task that cannot be read is among the failures, and the others are returned.

    Parameters
    ----------
    path
        Python file.
    name
        Name of one lattice in it; None for all.
    arguments
        Arguments by the names of lattices, some of which may be in other files; `THE_ONLY_ONE` for
        those of the file's one lattice.

    Raises
    ------
    ConfigurationError
        The file has no such lattice, or several, so that it is not clear whose the arguments are.
    """
    with imported(path) as module:
        lattices = lattices_of(module, path, name)
        if len(lattices) > 1 and THE_ONLY_ONE in arguments:
            first = next(iter(lattices))
            raise ConfigurationError(
                f"{path} has the lattices {', '.join(lattices)}: arguments are for one of them.",
                hint=f"Name it: {path}:{first}, or {first}=… before the arguments.",
            )
        electrons = electrons_of(module)
        found = _Search()
        for lattice_name, lattice in lattices.items():
            place = f"{path}:{lattice_name}"
            given = arguments.get(lattice_name, arguments.get(THE_ONLY_ONE, Arguments()))
            with found.failing():
                found.lattice(place, lattice, given.args, given.kwargs, electrons)
    return Workflow(
        tasks=tuple(found.tasks),
        guesses=tuple(found.guesses),
        lattices=tuple(lattices),
        failures=tuple(found.failures),
    )


class _Search:
    """Collects the tasks of lattices and of their sublattices."""

    def __init__(self) -> None:
        self.tasks: list[WorkflowTask] = []
        self.guesses: list[str] = []
        self.failures: list[LambdaContainerError] = []

    @contextmanager
    def failing(self) -> Iterator[None]:
        """Record the failure of a part, so that the search goes on with the others."""
        try:
            yield
        except LambdaContainerError as exc:
            self.failures.append(exc)

    def lattice(
        self,
        place: str,
        lattice: Lattice,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        electrons: Iterable[Any],
    ) -> None:
        """Add the tasks of a lattice of the file."""
        missing = missing_arguments(lattice, args, kwargs, place)
        if missing:
            self.guesses.append(
                f"{place} was examined without its arguments ({', '.join(missing)}). If it "
                "branches or loops on them, pass them with --args or --kwargs."
            )
        graph = built_graph(place, lattice, args, kwargs, missing, electrons if missing else ())
        self._nodes(place, graph)

    def _sublattice(self, place: str, graph: Any, node: int) -> None:
        """Add the tasks of a sublattice, built as its node builds it."""
        args, kwargs = arguments_of(graph, node)
        sub, metadata, args = args[0], args[1], args[2:]
        if sub is UNKNOWN or metadata is UNKNOWN:
            self.guesses.append(f"{place} is created while the workflow runs. {ASK_A_RUN}")
            return
        parent = json.loads(metadata)
        for key, value in sub.metadata.items():
            if not value and key != "triggers":
                sub.metadata[key] = parent[key]
        unknown = [
            *(number for number, value in enumerate(args) if value is UNKNOWN),
            *(name for name, value in kwargs.items() if value is UNKNOWN),
        ]
        if unknown:
            self.guesses.append(
                f"{place} receives results of tasks; it may branch or loop on them. {ASK_A_RUN}"
            )
        self._nodes(place, built_graph(place, sub, args, kwargs, (), ()))

    def _nodes(self, place: str, graph: Any) -> None:
        tasks: dict[int, WorkflowTask] = {}
        for node in graph.nodes:
            name = graph.nodes[node]["name"]
            with self.failing():
                task = _task(f"{place}/{name}", graph.nodes[node])
                if task:
                    tasks[node] = task
            if name.startswith(sublattice_prefix):
                inside = f"{place}/{name.removeprefix(sublattice_prefix)}"
                with self.failing():
                    self._sublattice(inside, graph, node)
        self.tasks += tasks.values()
        fed = [node for node in tasks if _gets_other_packages(graph, node, tasks)]
        if fed:
            names = ", ".join(dict.fromkeys(graph.nodes[node]["name"] for node in fed))
            self.guesses.append(
                f"{place}: results of tasks with other packages go to {names}, which may need "
                f"these packages. {ASK_A_RUN}"
            )


def _task(where: str, node: Mapping[str, Any]) -> WorkflowTask | None:
    """Return a node's task, if it runs on the executor."""
    metadata = node["metadata"]
    if metadata.get("executor") != SHORT_NAME or is_collection(node["function"]):
        return None
    try:
        task = read_task(with_hooks(node["function"], metadata.get("hooks")), (), {})
        options = executor_options(metadata.get("executor_data"))
    except LambdaContainerError as exc:
        raise type(exc)(f"{where}: {exc.message}", hint=exc.hint) from exc
    if task.refers_to_covalent:
        task = replace(task, covalent_version=importlib.metadata.version("covalent"))
    return WorkflowTask(name=where, task=task, options=options)


def _gets_other_packages(graph: Any, node: int, tasks: Mapping[int, WorkflowTask]) -> bool:
    """Return whether a node receives the result of a task with packages that it does not have."""
    own = set(tasks[node].task.requirements.packages)
    sources = {
        source
        for source, _, edge in graph.in_edges(node, data="edge_name")
        if edge != WAIT_EDGE_NAME
    }
    collections = {
        s for s in sources if graph.nodes[s]["name"] in (electron_list_prefix, electron_dict_prefix)
    }
    sources |= {first for last in collections for first in graph.predecessors(last)}
    return any(
        not own.issuperset(tasks[s].task.requirements.packages) for s in sources if s in tasks
    )


def with_hooks(function: Any, hooks: Mapping[str, Any] | None) -> Callable[..., Any]:
    """Return the callable that Covalent's dispatcher assembles from a node's function and hooks."""
    hooks = hooks or {}
    before, after = _gather_deps(
        {kind: dep for kind, dep in (hooks.get("deps") or {}).items() if dep},
        hooks.get("call_before") or [],
        hooks.get("call_after") or [],
    )
    return partial(wrapper_fn, function, before, after)


def executor_options(executor_data: Mapping[str, Any] | None) -> Options:
    """Return the options of an executor in a graph, which is there by value or only by name."""
    attributes = (executor_data or {}).get("attributes")
    return stored(attributes) if attributes else resolve({})
