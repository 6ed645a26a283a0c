"""Hooks of an electron: DepsPip, DepsBash and file transfers, read without unpickling any code.

Covalent hands a hook to an executor as a function, its arguments and a keyword, each of the first
three a TransportableObject.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.long_values import mentions, references_of
from covalent_lambda_container.covalent_api.pickles import plain_value
from covalent_lambda_container.covalent_api.transport import Origin, pickle_of
from covalent_lambda_container.errors import InvocationError, RequirementError
from covalent_lambda_container.packages.requirements import Requirements
from covalent_lambda_container.packages.requirements_files import (
    read_requirement_lines,
    read_requirements_text,
)

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


def is_pip(hook: Hook) -> bool:
    """Return whether a hook is a DepsPip."""
    return _is(hook, _PIP_HOOK)


def is_bash(hook: Hook) -> bool:
    """Return whether a hook is a DepsBash."""
    return _is(hook, _BASH_HOOK)


def _is(hook: Hook, reference: tuple[str, str]) -> bool:
    """Return whether a hook's function is one of Covalent's own, by name and by reference."""
    function = hook[0]
    if function.attrs.get("name") != reference[1]:
        return False
    return reference in references_of(function).names


def transfer_origins(hooks: Sequence[Hook]) -> frozenset[Origin]:
    """Return what the file transfers among a task's hooks need beside the task's own packages."""
    packages = set()
    for function, *_ in hooks:
        if mentions(function, b"covalent._file_transfer"):
            texts = references_of(function).texts
            packages |= {p for module, p in _TRANSFER_PACKAGES.items() if module in texts}
    return frozenset(Origin(requirements=(package,), image="") for package in packages)


def pip_requirements(hook: Hook) -> Requirements:
    """Read the arguments of DepsPip: a list of packages and a requirements file's content."""
    packages, file_content = _plain_arguments(hook, [[], ""])
    _check_texts("DepsPip", "package", [*packages, file_content], "'numpy==2.1'")
    if file_content:
        # As Covalent does: the file overrides the list.
        return read_requirements_text(file_content, origin="DepsPip reqs_path")
    return read_requirement_lines(packages, origin="DepsPip")


def bash_commands(hook: Hook) -> list[str]:
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
            hint="Put long texts into a package of your own, named in the option local_packages.",
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


def payload_of(hook: Hook) -> tuple[str, str, str, str]:
    """Return a hook as `covalent_lambda_container.runtime.wire` defines it."""
    function, args, kwargs, retval_keyword = hook
    return (
        function.get_serialized(),
        args.get_serialized(),
        kwargs.get_serialized(),
        retval_keyword,
    )
