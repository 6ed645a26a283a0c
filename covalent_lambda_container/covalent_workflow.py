"""The tasks of a workflow that has not run: what its graph says that the executor will be given.

Beside `covalent_task` the only module that knows Covalent's internals. A graph is built by
Covalent's own code, as a dispatch does it in the client.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import json
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cloudpickle
import covalent as ct
from covalent._shared_files.defaults import (
    WAIT_EDGE_NAME,
    electron_dict_prefix,
    electron_list_prefix,
    parameter_prefix,
    sublattice_prefix,
)
from covalent._workflow.electron import Electron
from covalent._workflow.lattice import Lattice
from covalent.executor.utils.wrappers import _gather_deps, wrapper_fn

from covalent_lambda_container.configuration import SHORT_NAME, resolve, stored
from covalent_lambda_container.covalent_task import Task, is_collection, read_task
from covalent_lambda_container.errors import ConfigurationError
from covalent_lambda_container.options import Options

_MODULE_NAME: Final = "__workflow__"


_ASK_A_RUN: Final = "Only a run tells: prebuild for a finished dispatch as well, with --dispatch."


@dataclass(frozen=True, kw_only=True)
class WorkflowTask:
    """One task that the executor will be given.

    Parameters
    ----------
    name
        Where it stands: ``"workflow.py:workflow/accuracy"``.
    task
        What it needs; without its arguments.
    options
        Those of its executor.
    """

    name: str
    task: Task
    options: Options


@dataclass(frozen=True, kw_only=True)
class Workflow:
    """What was found in a workflow's file.

    Parameters
    ----------
    tasks
        Those on this executor, in the order of the graph.
    guesses
        Sentences on what had to be guessed, since only a run tells.
    """

    tasks: tuple[WorkflowTask, ...]
    guesses: tuple[str, ...]


def read_workflow(
    path: Path,
    name: str | None,
    *,
    args: Sequence[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Workflow:
    """Import a file and find the tasks of its lattices that use the executor.

    The file is run as Python runs a script, but for ``__name__``: what stands under
    ``if __name__ == "__main__"`` is not.

    Arguments of the lattice that are not given are stood in for by the output of an electron, and
    then the file's other electrons take part as well, since the lattice might call them for
    arguments that it is given.

    Parameters
    ----------
    path
        Python file.
    name
        Name of one lattice in it; None for all.
    args, kwargs
        Arguments of the lattice.

    Raises
    ------
    ConfigurationError
        The file has no such lattice, or its graph cannot be built without its arguments.
    """
    with _imported(path) as module:
        lattices = _lattices(module, path, name)
        if len(lattices) > 1 and (args is not None or kwargs is not None):
            raise ConfigurationError(
                f"{path} has the lattices {', '.join(lattices)}: arguments are for one of them.",
                hint=f"Name it: {path}:{next(iter(lattices))}",
            )
        electrons = _electrons(module)
        found = _Search()
        for lattice_name, lattice in lattices.items():
            place = f"{path}:{lattice_name}"
            found.lattice(place, lattice, args or (), kwargs or {}, electrons)
    return Workflow(tasks=tuple(found.tasks), guesses=tuple(found.guesses))


class _Search:
    """Goes through lattices and the sublattices in them."""

    def __init__(self) -> None:
        self.tasks: list[WorkflowTask] = []
        self.guesses: list[str] = []

    def lattice(
        self,
        place: str,
        lattice: Lattice,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        electrons: Iterable[Any],
    ) -> None:
        """Add the tasks of a lattice of the file."""
        missing = _missing(lattice, args, kwargs, place)
        if missing:
            self.guesses.append(
                f"{place} was looked at without its arguments ({', '.join(missing)}). If it "
                "branches or loops on them, give them with --args or --kwargs."
            )
        graph = _graph(place, lattice, args, kwargs, missing, electrons if missing else ())
        self._nodes(place, graph)

    def _sublattice(self, place: str, graph: Any, node: int) -> None:
        """Add the tasks of a sublattice, as the node that builds it will."""
        args, kwargs = _arguments(graph, node)
        sub, metadata, args = args[0], args[1], args[2:]
        if sub is _UNKNOWN or metadata is _UNKNOWN:
            self.guesses.append(f"{place} is made by the run itself. {_ASK_A_RUN}")
            return
        parent = json.loads(metadata)
        for key, value in sub.metadata.items():
            if not value and key != "triggers":
                sub.metadata[key] = parent[key]
        unknown = [
            *(number for number, value in enumerate(args) if value is _UNKNOWN),
            *(name for name, value in kwargs.items() if value is _UNKNOWN),
        ]
        if unknown:
            self.guesses.append(
                f"{place} is given results of tasks; it may branch or loop on them. {_ASK_A_RUN}"
            )
        self._nodes(place, _graph(place, sub, args, kwargs, (), ()))

    def _nodes(self, place: str, graph: Any) -> None:
        tasks: dict[int, WorkflowTask] = {}
        for node in graph.nodes:
            name = graph.nodes[node]["name"]
            task = _task(f"{place}/{name}", graph.nodes[node])
            if task:
                tasks[node] = task
            if name.startswith(sublattice_prefix):
                inside = f"{place}/{name.removeprefix(sublattice_prefix)}"
                self._sublattice(inside, graph, node)
        self.tasks += tasks.values()
        fed = [node for node in tasks if _gets_other_packages(graph, node, tasks)]
        if fed:
            names = ", ".join(dict.fromkeys(graph.nodes[node]["name"] for node in fed))
            self.guesses.append(
                f"{place}: results of tasks with other packages go to {names} and may bring their "
                f"packages along. {_ASK_A_RUN}"
            )


def _task(where: str, node: Mapping[str, Any]) -> WorkflowTask | None:
    """Return what a node needs, if it is a task of the executor."""
    metadata = node["metadata"]
    if metadata.get("executor") != SHORT_NAME or is_collection(node["function"]):
        return None
    task = read_task(with_hooks(node["function"], metadata.get("hooks")), (), {})
    if task.refers_to_covalent:
        task = replace(task, covalent_version=importlib.metadata.version("covalent"))
    options = executor_options(metadata.get("executor_data"))
    return WorkflowTask(name=where, task=task, options=options)


def _gets_other_packages(graph: Any, node: int, tasks: Mapping[int, WorkflowTask]) -> bool:
    """Tell whether a node is given the result of a task that has packages which it has not."""
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
    """Return what Covalent's dispatcher assembles of a node's function and hooks."""
    hooks = hooks or {}
    before, after = _gather_deps(
        {kind: dep for kind, dep in (hooks.get("deps") or {}).items() if dep},
        hooks.get("call_before") or [],
        hooks.get("call_after") or [],
    )
    return partial(wrapper_fn, function, before, after)


def executor_options(executor_data: Mapping[str, Any] | None) -> Options:
    """Return the options of an executor as a graph holds it: by value, or only by its name."""
    attributes = (executor_data or {}).get("attributes")
    return stored(attributes) if attributes else resolve({})


class _Unknown:
    """What only a run tells."""


_UNKNOWN: Final = _Unknown()


class _Prepared:
    """Stands where a lattice keeps its pickled function; gives one that has its arguments."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def get_deserialized(self) -> Callable[[], Any]:
        return self._function


def _graph(
    place: str,
    lattice: Lattice,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    missing: Sequence[str],
    electrons: Iterable[Any],
) -> Any:
    """Build a lattice's graph; unknown and missing arguments are the outputs of an electron."""
    function = lattice.workflow_function.get_deserialized()

    def prepared() -> Any:
        given = [_stand_in() if value is _UNKNOWN else value for value in args]
        named = {name: _stand_in() if v is _UNKNOWN else v for name, v in kwargs.items()}
        bound = inspect.signature(function).bind_partial(*given, **named)
        bound.arguments |= {name: _stand_in() for name in missing}
        returned = function(*bound.args, **bound.kwargs)
        nodes = lattice.transport_graph._graph.nodes.values()
        called = {node["name"].removeprefix(sublattice_prefix) for node in nodes}
        for electron in electrons:
            if electron.__name__ not in called:
                _call_for_anything(electron)
        return returned

    lattice = deepcopy(lattice)
    lattice.workflow_function = _Prepared(prepared)
    try:
        with warnings.catch_warnings():
            # Of exceptions, which are told below.
            warnings.filterwarnings("ignore", "Please make sure you are not manipulating")
            lattice.build_graph()
    except Exception as exc:
        guessed = bool(missing) or _UNKNOWN in [*args, *kwargs.values()]
        raise ConfigurationError(
            f"The graph of {place} could not be built: {type(exc).__name__}: {exc}",
            hint=(
                "It needs its arguments: give them as JSON, for example "
                f"""--kwargs '{{"{missing[0]}": …}}'."""
                if missing
                else f"It is given results of tasks. {_ASK_A_RUN}"
                if guessed
                else None
            ),
        ) from exc
    return lattice.transport_graph._graph


def _call_for_anything(electron: Any) -> None:
    function = electron.electron_object.function
    if isinstance(function, Lattice):
        function = function.workflow_function.get_deserialized()
    required = _required(inspect.signature(function))
    positional = [p for p in required if p.kind is not p.KEYWORD_ONLY]
    named = {p.name: _stand_in() for p in required if p.kind is p.KEYWORD_ONLY}
    electron(*(_stand_in() for _ in positional), **named)


def _stand_in() -> Any:
    def argument() -> None:
        """Never runs."""

    return ct.electron(argument, executor="local")()


def _missing(
    lattice: Lattice, args: Sequence[Any], kwargs: Mapping[str, Any], place: str
) -> list[str]:
    """Return the names of a lattice's arguments that are required and not given."""
    signature = inspect.signature(lattice.workflow_function.get_deserialized())
    try:
        given = signature.bind_partial(*args, **kwargs).arguments
    except TypeError as exc:
        raise ConfigurationError(f"The arguments do not fit {place}{signature}: {exc}.") from exc
    return [parameter.name for parameter in _required(signature) if parameter.name not in given]


def _required(signature: inspect.Signature) -> list[inspect.Parameter]:
    return [
        parameter
        for parameter in signature.parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def _arguments(graph: Any, node: int) -> tuple[list[Any], dict[str, Any]]:
    """Return a node's arguments; `_UNKNOWN` stands for those that a run makes."""
    positional: dict[int, Any] = {}
    named: dict[str, Any] = {}
    for source, _, edge in graph.in_edges(node, data=True):
        if edge["edge_name"] == WAIT_EDGE_NAME:
            continue
        if edge["param_type"] == "arg":
            positional[edge["arg_index"]] = _value(graph, source)
        else:
            named[edge["edge_name"]] = _value(graph, source)
    return [positional[index] for index in sorted(positional)], named


def _value(graph: Any, node: int) -> Any:
    """Return what a node's output will be, as far as no run is needed for it."""
    name = graph.nodes[node]["name"]
    if name.startswith(parameter_prefix):
        return graph.nodes[node]["value"].get_deserialized()
    if name.startswith((electron_list_prefix, electron_dict_prefix)):
        args, _ = _arguments(graph, node)
        if any(value is _UNKNOWN for value in args):
            return _UNKNOWN
        return dict(zip(*args, strict=True)) if name.startswith(electron_dict_prefix) else args
    return _UNKNOWN


@contextmanager
def _imported(path: Path) -> Iterator[ModuleType]:
    """Run a file as a module, its folder first among those for imports, as for a script."""
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is no Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE_NAME] = module
    sys.path.insert(0, str(path.resolve().parent))
    # A script's functions are pickled by value, and so refer to what those of a dispatch do.
    cloudpickle.register_pickle_by_value(module)
    try:
        try:
            spec.loader.exec_module(module)
        except SystemExit as exc:
            raise ConfigurationError(
                f"{path} ended while it was imported, with exit status {exc.code}.",
                hint='Put what is to run it under: if __name__ == "__main__"',
            ) from exc
        yield module
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        sys.path.remove(str(path.resolve().parent))
        del sys.modules[_MODULE_NAME]


def _lattices(module: ModuleType, path: Path, name: str | None) -> dict[str, Lattice]:
    there = {key: value for key, value in vars(module).items() if isinstance(value, Lattice)}
    if name is None and there:
        return there
    if name in there:
        return {name: there[name]}
    seen = f"its lattices are {', '.join(there)}" if there else "it has no lattice"
    asked = f"a lattice {name!r}" if name else "a lattice"
    raise ConfigurationError(
        f"{path} was searched for {asked}: {seen}.",
        hint="Lattices are found by their names in the file: @ct.lattice def workflow(…).",
    )


def _electrons(module: ModuleType) -> list[Any]:
    return [
        value
        for value in vars(module).values()
        if inspect.isfunction(value) and isinstance(vars(value).get("electron_object"), Electron)
    ]
