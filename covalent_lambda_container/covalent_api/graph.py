"""A lattice's graph, built by Covalent, with placeholders for values known only at run time."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final

import covalent as ct
from covalent._shared_files.defaults import (
    WAIT_EDGE_NAME,
    electron_dict_prefix,
    electron_list_prefix,
    parameter_prefix,
    sublattice_prefix,
)
from covalent._workflow.lattice import Lattice

from covalent_lambda_container.errors import ConfigurationError

ASK_A_RUN: Final = (
    "Only a run reveals this: also run prebuild for a finished dispatch, with --dispatch."
)
"""Hint about values that are known only at run time."""


class _Unknown:
    """Type of `UNKNOWN`."""


UNKNOWN: Final = _Unknown()
"""Placeholder for a value that is known only at run time."""


class _Prepared:
    """Replaces a lattice's pickled function by one that already has its arguments."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function

    def get_deserialized(self) -> Callable[[], Any]:
        return self._function


def built_graph(
    place: str,
    lattice: Lattice,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    missing: Sequence[str],
    electrons: Iterable[Any],
) -> Any:
    """Build a lattice's graph, as a dispatch does in the client.

    Parameters
    ----------
    place
        Position of the lattice, for the error.
    lattice
        The lattice, which is not changed.
    args, kwargs
        The lattice's arguments; outputs of an electron replace those that are `UNKNOWN`.
    missing
        Names of further arguments that need placeholders.
    electrons
        Electrons to call with placeholders as well, unless the lattice has called them.

    Returns
    -------
    networkx.MultiDiGraph
        As Covalent has it: nodes with ``name``, ``function``, ``metadata`` and ``value``.

    Raises
    ------
    ConfigurationError
        The lattice cannot be built with placeholders, or it fails.
    """
    function = lattice.workflow_function.get_deserialized()

    def prepared() -> Any:
        given = [_stand_in() if value is UNKNOWN else value for value in args]
        named = {name: _stand_in() if v is UNKNOWN else v for name, v in kwargs.items()}
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
            # Logs of exceptions, which are reported below.
            warnings.filterwarnings("ignore", "Please make sure you are not manipulating")
            lattice.build_graph()
    except Exception as exc:
        guessed = bool(missing) or UNKNOWN in [*args, *kwargs.values()]
        raise ConfigurationError(
            f"The graph of {place} could not be built: {type(exc).__name__}: {exc}",
            hint=(
                "It needs its arguments: pass them as JSON, for example "
                f"""{place} --kwargs '{{"{missing[0]}": …}}'."""
                if missing
                else f"Its arguments are results of tasks. {ASK_A_RUN}"
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


def missing_arguments(
    lattice: Lattice, args: Sequence[Any], kwargs: Mapping[str, Any], place: str
) -> list[str]:
    """Return the names of a lattice's required arguments that are missing.

    Raises
    ------
    ConfigurationError
        The lattice does not accept the given arguments.
    """
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


def arguments_of(graph: Any, node: int) -> tuple[list[Any], dict[str, Any]]:
    """Return a node's arguments; `UNKNOWN` replaces those that only a run produces."""
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
    """Return a node's output, if it is known without a run."""
    name = graph.nodes[node]["name"]
    if name.startswith(parameter_prefix):
        return graph.nodes[node]["value"].get_deserialized()
    if name.startswith((electron_list_prefix, electron_dict_prefix)):
        args, _ = arguments_of(graph, node)
        if any(value is UNKNOWN for value in args):
            return UNKNOWN
        return dict(zip(*args, strict=True)) if name.startswith(electron_dict_prefix) else args
    return UNKNOWN
