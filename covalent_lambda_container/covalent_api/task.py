"""One electron's call, read from what Covalent hands an executor without unpickling anything.

Covalent hands an executor
``partial(wrapper_fn, function, call_before, call_after)`` with args and kwargs of
TransportableObjects, whose payload is base64 text of a pickle; that text travels as it is.
"""

from __future__ import annotations

import importlib.metadata
import logging
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any, Final

from covalent._workflow.transport import TransportableObject
from packaging.version import InvalidVersion, Version

from covalent_lambda_container.covalent_api.hooks import (
    bash_commands,
    is_bash,
    is_pip,
    payload_of,
    pip_requirements,
    transfer_origins,
)
from covalent_lambda_container.covalent_api.long_values import mentions, references_of
from covalent_lambda_container.covalent_api.transport import (
    Origin,
    header_size,
    origins_of,
)
from covalent_lambda_container.errors import VersionMismatch
from covalent_lambda_container.packages.requirements import Requirements

log = logging.getLogger(__name__)

_NAME_CHARACTERS: Final = 100


@dataclass(frozen=True, kw_only=True)
class Task:
    """One electron's call, ready to be sent.

    Parameters
    ----------
    payload
        The task as `covalent_lambda_container.runtime.wire` defines it, leaves base64 text.
    requirements
        What its DepsPip asks for.
    python_version
        Minor version of the client's Python, ``"3.11"``.
    cloudpickle_version
        The client's cloudpickle.
    payload_bytes
        Length of all leaves together, base64.
    commands
        Shell commands of its DepsBash.
    origins
        Where those of its arguments and hooks come from that need packages.
    refers_to_covalent
        Whether its function, an argument or a hook needs Covalent where it runs.
    covalent_version
        The client's Covalent, for a task that refers to it; filled by who knows it.
    name
        Name of its function; it decides nothing.
    """

    payload: dict[str, Any]
    requirements: Requirements
    python_version: str
    cloudpickle_version: str
    payload_bytes: int
    commands: tuple[str, ...] = ()
    origins: frozenset[Origin] = frozenset()
    refers_to_covalent: bool = False
    covalent_version: str = ""
    name: str = ""

    @property
    def needs(self) -> tuple[Hashable, ...]:
        """All that decides on the task's image: tasks that have the same needs share it."""
        needs: tuple[Hashable, ...] = _NEEDS(self)
        return needs


_NEEDS: Final = attrgetter(
    *(
        field.name
        for field in fields(Task)
        if field.name not in ("payload", "payload_bytes", "name")
    )
)


def size_of(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> int:
    """Return the length of all that `read_task` reads: pickles as base64 text, and headers."""
    values = [*args, *kwargs.values()]
    if isinstance(function, partial) and len(function.args) == 3:
        transportable, call_before, call_after = function.args
        hooks = [part for hook in (*call_before, *call_after) for part in hook[:3]]
        values += [transportable, *hooks]
    pickles = sum(len(value.get_serialized()) for value in values)
    return pickles + sum(header_size(value) for value in values)


def read_task(function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Task:
    """Take apart what Covalent passes to an executor's ``run``.

    Raises
    ------
    TypeError
        When Covalent passes something of another form.
    RequirementError
        When a DepsPip holds an invalid requirement.
    """
    if not isinstance(function, partial) or len(function.args) != 3:
        raise TypeError(
            "AWSLambdaContainerExecutor.run expects the callable that Covalent's dispatcher "
            f"assembles, but was given {function!r}."
        )
    transportable, call_before, call_after = function.args
    requirements = Requirements()
    commands: list[str] = []
    before, after = [], []
    for hook in call_before:
        if is_pip(hook):
            requirements |= pip_requirements(hook)
        elif is_bash(hook):
            commands.extend(bash_commands(hook))
        else:
            before.append(hook)
    for hook in call_after:
        # Nothing can be installed on Lambda: the image has it from the beginning. Commands run
        # when Covalent runs them.
        if is_pip(hook):
            requirements |= pip_requirements(hook)
        else:
            after.append(hook)
    payload = {
        "function": transportable.get_serialized(),
        "args": tuple(argument.get_serialized() for argument in args),
        "kwargs": {name: argument.get_serialized() for name, argument in kwargs.items()},
        "before": tuple(map(payload_of, before)),
        "after": tuple(map(payload_of, after)),
    }
    header = transportable.header
    return Task(
        payload=payload,
        requirements=requirements,
        python_version=_version(header, "py_version", "{0.major}.{0.minor}"),
        cloudpickle_version=_version(header, "cloudpickle_version", "{0}"),
        payload_bytes=_size(payload),
        name=_name(header),
        commands=tuple(commands),
        origins=origins_of([*args, *kwargs.values()]) | transfer_origins((*before, *after)),
        refers_to_covalent=_imports_covalent(transportable)
        or any(
            _refers_to_covalent(part)
            for part in (
                transportable,
                *args,
                *kwargs.values(),
                *(part for hook in (*before, *after) for part in hook[:3]),
            )
        ),
    )


def _name(header: Mapping[str, Any]) -> str:
    """Return the name of a function, as its header has it; for people only."""
    attributes = header.get("attrs")
    name = attributes.get("name") if isinstance(attributes, Mapping) else None
    return name[:_NAME_CHARACTERS] if isinstance(name, str) and name.isprintable() else ""


def bare_task(requirements: Requirements, *, python_version: str | None = None) -> Task:
    """Return what a task with these packages needs, without a function.

    Parameters
    ----------
    requirements
        What is to be installed.
    python_version
        Minor version of the client's Python; default: this one's.
    """
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Task(
        payload={},
        requirements=requirements,
        python_version=python_version or own,
        cloudpickle_version=importlib.metadata.version("cloudpickle"),
        payload_bytes=0,
    )


def _version(header: Mapping[str, Any], name: str, form: str) -> str:
    try:
        return _canonical_version(str(header.get(name)), form)
    except InvalidVersion as exc:
        raise VersionMismatch(f"The task's header has no usable {name}: {exc}.") from exc


@lru_cache(maxsize=64)
def _canonical_version(text: str, form: str) -> str:
    # A Python built from a checkout says "3.12.1+".
    return form.format(Version(text.removesuffix("+")))


def _refers_to_covalent(part: TransportableObject) -> bool:
    # Reading opcodes of a large pickle is slow, and most have nothing of the kind in them.
    return mentions(part, b"covalent") and references_of(part).package("covalent")


def _imports_covalent(function: TransportableObject) -> bool:
    """Tell whether a function may import Covalent in its body: its code has the module's name."""
    return mentions(function, b"covalent") and "covalent" in references_of(function).texts


def _size(payload: dict[str, Any]) -> int:
    hooks = [leaf for hook in (*payload["before"], *payload["after"]) for leaf in hook[:3]]
    leaves = [payload["function"], *payload["args"], *payload["kwargs"].values(), *hooks]
    return sum(len(leaf) for leaf in leaves)
