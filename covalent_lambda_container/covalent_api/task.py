"""Covalent's objects, taken apart without unpickling anything of the user's.

The only module that knows Covalent's internals. Covalent hands an executor
``partial(wrapper_fn, function, call_before, call_after)`` with args and kwargs of
TransportableObjects, whose payload is base64 text of a pickle; that text travels as it is.
"""

from __future__ import annotations

import importlib.metadata
import logging
import pickle
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache, partial
from operator import attrgetter
from typing import Any, Final

from covalent._workflow.transport import TransportableObject
from packaging.version import InvalidVersion, Version

from covalent_lambda_container.covalent_api.pickles import plain_value, references
from covalent_lambda_container.covalent_api.transport import (
    Origin,
    header_size,
    origins_of,
    pickle_of,
)
from covalent_lambda_container.errors import InvocationError, RequirementError, VersionMismatch
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import (
    read_requirement_lines,
    read_requirements_text,
)

log = logging.getLogger(__name__)

_NAME_CHARACTERS: Final = 100
_PIP_HOOK: Final = ("covalent._workflow.depspip", "apply_pip_deps")
_BASH_HOOK: Final = ("covalent._workflow.depsbash", "apply_bash_commands")
# What a file transfer imports where it runs, by the module of Covalent's that its hooks come from:
# they are sent by value, and need Covalent itself only where they also refer to it.
_TRANSFER_PACKAGES: Final = {
    "covalent._file_transfer.strategies.http_strategy": "requests",
    "covalent._file_transfer.strategies.s3_strategy": "boto3",
}

_LONGEST_TEXTS: Final = 1024 * 1024
"""Most characters of a DepsPip or a DepsBash."""

Hook = tuple[TransportableObject, TransportableObject, TransportableObject, str]


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
            "AWSLambdaContainerExecutor.run takes the callable that Covalent's dispatcher "
            f"assembles, and was given {function!r}."
        )
    transportable, call_before, call_after = function.args
    requirements = Requirements()
    commands: list[str] = []
    before, after = [], []
    for hook in call_before:
        if _is(hook, _PIP_HOOK):
            requirements |= _pip_requirements(hook)
        elif _is(hook, _BASH_HOOK):
            commands.extend(_bash_commands(hook))
        else:
            before.append(hook)
    for hook in call_after:
        # Nothing can be installed on Lambda: the image has it from the beginning. Commands run
        # when Covalent runs them.
        if _is(hook, _PIP_HOOK):
            requirements |= _pip_requirements(hook)
        else:
            after.append(hook)
    payload = {
        "function": transportable.get_serialized(),
        "args": tuple(argument.get_serialized() for argument in args),
        "kwargs": {name: argument.get_serialized() for name, argument in kwargs.items()},
        "before": tuple(map(_hook_payload, before)),
        "after": tuple(map(_hook_payload, after)),
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
        origins=origins_of([*args, *kwargs.values()]) | _transfer_origins((*before, *after)),
        refers_to_covalent=any(
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


def _hook_payload(hook: Hook) -> tuple[str, str, str, str]:
    function, args, kwargs, retval_keyword = hook
    return (
        function.get_serialized(),
        args.get_serialized(),
        kwargs.get_serialized(),
        retval_keyword,
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


def installs_packages(hook: Hook) -> bool:
    """Tell whether a hook is DepsPip or DepsBash, which a task without a function does not need."""
    return _is(hook, _PIP_HOOK) or _is(hook, _BASH_HOOK)


def _is(hook: Hook, reference: tuple[str, str]) -> bool:
    """Tell whether a hook's function is one of Covalent's own, by name and by reference."""
    function = hook[0]
    if function.attrs.get("name") != reference[1]:
        return False
    return reference in references(pickle_of(function)).names


def _refers_to_covalent(part: TransportableObject) -> bool:
    pickled = pickle_of(part)
    # Reading opcodes of a large pickle is slow, and most have nothing of the kind in them.
    return b"covalent" in pickled and references(pickled).package("covalent")


def _transfer_origins(hooks: Sequence[Hook]) -> frozenset[Origin]:
    """Return what the file transfers among a task's hooks need beside the task's own packages."""
    packages = set()
    for function, *_ in hooks:
        pickled = pickle_of(function)
        if b"covalent._file_transfer" in pickled:
            texts = references(pickled).texts
            packages |= {p for module, p in _TRANSFER_PACKAGES.items() if module in texts}
    return frozenset(Origin(requirements=(package,), image="") for package in packages)


def _pip_requirements(hook: Hook) -> Requirements:
    """Read the arguments of DepsPip: a list of packages and a requirements file's content."""
    packages, file_content = _plain_arguments(hook, [[], ""])
    _check_texts("DepsPip", "package", [*packages, file_content], "'numpy==2.1'")
    if file_content:
        # As Covalent does: the file overrides the list.
        return read_requirements_text(file_content, origin="DepsPip reqs_path")
    return read_requirement_lines(packages, origin="DepsPip")


def _bash_commands(hook: Hook) -> list[str]:
    """Read the argument of DepsBash: a list of commands."""
    (commands,) = _plain_arguments(hook, [[]])
    _check_texts("DepsBash", "command", commands, "'dnf install -y git'")
    return list(commands)


def _check_texts(hook: str, one: str, texts: Sequence[Any], example: str) -> None:
    """Refuse what is no text, and more text than an image can be built from.

    A pickle of a hundred bytes can repeat a list until it fills all memory when it is shown.
    """
    total = 0
    for text in texts:
        if not isinstance(text, str):
            raise RequirementError(
                f"{hook} has a {type(text).__name__}: every {one} must be a string such as "
                f"{example}."
            )
        total += len(text)
    if total > _LONGEST_TEXTS:
        raise RequirementError(
            f"{hook} has {total} characters; {_LONGEST_TEXTS} are the limit.",
            hint="Put what is that long into a package of your own, by the option local_packages.",
        )


def _plain_arguments(hook: Hook, form: list[Any]) -> list[Any]:
    """Read the arguments of one of Covalent's own hooks; `form` has values of their types."""
    name = hook[0].attrs["name"]
    try:
        arguments = plain_value(pickle_of(hook[1]))
    except pickle.UnpicklingError as exc:
        raise InvocationError(f"The arguments of {name} could not be read: {exc}.") from exc
    if isinstance(arguments, list) and len(arguments) == len(form):
        # Covalent's users also write a tuple where it asks for a list.
        given = [list(value) if isinstance(value, tuple) else value for value in arguments]
        if all(isinstance(v, type(f)) for v, f in zip(given, form, strict=True)):
            return given
    raise InvocationError(f"The arguments of {name} have another form than Covalent gives them.")


def _size(payload: dict[str, Any]) -> int:
    hooks = [leaf for hook in (*payload["before"], *payload["after"]) for leaf in hook[:3]]
    leaves = [payload["function"], *payload["args"], *payload["kwargs"].values(), *hooks]
    return sum(len(leaf) for leaf in leaves)
