"""Covalent's objects, taken apart without unpickling anything of the user's.

The only module that knows Covalent's internals. Covalent hands an executor
``partial(wrapper_fn, function, call_before, call_after)`` with args and kwargs of
TransportableObjects, whose payload is base64 text of a pickle; that text travels as it is.
"""

from __future__ import annotations

import base64
import io
import logging
import pickle
import pickletools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.errors import InvocationError, RequirementError
from covalent_lambda_container.spec import canonical_requirements, read_requirements_text

log = logging.getLogger(__name__)

_PIP_HOOK: Final = ("covalent._workflow.depspip", "apply_pip_deps")
_LISTS_ONLY: Final = "A hook's arguments hold something other than lists and strings"

Hook = tuple[TransportableObject, TransportableObject, TransportableObject, str]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One electron's call, ready to be sent.

    Parameters
    ----------
    payload
        The task as `covalent_lambda_container.runtime.wire` defines it, leaves base64 text.
    requirements
        Canonical requirements of its DepsPip.
    python_version
        Minor version of the client's Python, ``"3.11"``.
    cloudpickle_version
        The client's cloudpickle.
    payload_bytes
        Length of all leaves together, base64.
    """

    payload: dict[str, Any]
    requirements: tuple[str, ...]
    python_version: str
    cloudpickle_version: str
    payload_bytes: int


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
    requirements: set[str] = set()
    before = []
    for hook in call_before:
        if _refers_to(hook, _PIP_HOOK):
            requirements.update(_pip_requirements(hook))
        else:
            before.append(_hook_payload(hook))
    payload = {
        "function": transportable.get_serialized(),
        "args": [argument.get_serialized() for argument in args],
        "kwargs": {name: argument.get_serialized() for name, argument in kwargs.items()},
        "before": before,
        "after": [_hook_payload(hook) for hook in call_after],
    }
    header = transportable.header
    return Task(
        payload=payload,
        requirements=tuple(sorted(requirements)),
        python_version=".".join(header["py_version"].split(".")[:2]),
        cloudpickle_version=header["cloudpickle_version"],
        payload_bytes=_size(payload),
    )


def transportable(header: dict[str, Any], text: str, pickled: str) -> TransportableObject:
    """Make the TransportableObject Covalent stores, from its parts.

    Parameters
    ----------
    header
        As Covalent's TransportableObject has it.
    text
        ``str`` of the value, which Covalent shows.
    pickled
        Base64 text of the value's pickle.
    """
    shell = TransportableObject(None)
    shell._header = header
    shell._object_string = text
    shell._object = pickled
    return shell


async def record_error(dispatch_id: str, node_id: int, message: str) -> None:
    """Give a failed node its error message.

    Covalent keeps a node's output streams only when the executor raises TaskRuntimeError, and
    keeps an error message only when it raises anything else. This writes the message through the
    dispatcher's own update call, so that a failed task has both. Outside a dispatcher it does
    nothing.
    """
    if "covalent_dispatcher._core.data_manager" not in sys.modules:
        return
    from covalent_dispatcher._core import data_manager

    update = data_manager.generate_node_result(node_id=node_id, error=message)
    try:
        await data_manager.update_node_result(dispatch_id, update)
    except Exception:
        log.warning("The error of node %s could not be stored.", node_id, exc_info=True)


def _hook_payload(hook: Hook) -> list[Any]:
    function, args, kwargs, retval_keyword = hook
    return [
        function.get_serialized(),
        args.get_serialized(),
        kwargs.get_serialized(),
        retval_keyword,
    ]


def _refers_to(hook: Hook, reference: tuple[str, str]) -> bool:
    """Tell whether a hook's function is one of Covalent's own, by name and by reference."""
    function = hook[0]
    if function.attrs.get("name") != reference[1]:
        return False
    return reference in _global_references(base64.b64decode(function.get_serialized()))


def _global_references(pickled: bytes) -> set[tuple[str, str]]:
    """Return the (module, name) pairs a pickle names, read from its opcodes."""
    found: set[tuple[str, str]] = set()
    # STACK_GLOBAL takes the two values pushed last; either may come from the memo.
    pushed: list[Any] = [None, None]
    memo: dict[int, Any] = {}
    argument: Any
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = pushed[-1]
        elif opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = pushed[-1]
        elif opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            pushed.append(memo.get(argument))
        elif opcode.name == "STACK_GLOBAL":
            found.add((pushed[-2], pushed[-1]))
            pushed.append(None)
        elif opcode.name == "GLOBAL":
            module, name = argument.split(" ", 1)
            found.add((module, name))
            pushed.append(None)
        else:
            pushed.append(argument if isinstance(argument, str) else None)
    return found


def _pip_requirements(hook: Hook) -> tuple[str, ...]:
    """Read the arguments of DepsPip: a list of packages and a requirements file's content."""
    packages, file_content = _plain_value(hook[1])
    if not all(isinstance(package, str) for package in packages):
        raise RequirementError(
            f"DepsPip packages={packages!r}: every package must be a string such as 'numpy==2.1'."
        )
    if file_content:
        # As Covalent does: the file overrides the list.
        return read_requirements_text(file_content, origin="DepsPip reqs_path")
    return canonical_requirements(packages, origin="DepsPip")


class _PlainUnpickler(pickle.Unpickler):
    """Reads lists, strings and numbers; refuses any reference to code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{_LISTS_ONLY}: {module}.{name}.")


def _plain_value(transportable_object: TransportableObject) -> Any:
    pickled = base64.b64decode(transportable_object.get_serialized())
    try:
        return _PlainUnpickler(io.BytesIO(pickled)).load()
    except (pickle.UnpicklingError, EOFError) as exc:
        raise InvocationError(f"A hook's arguments could not be read: {exc}") from exc


def _size(payload: dict[str, Any]) -> int:
    hooks = [leaf for hook in (*payload["before"], *payload["after"]) for leaf in hook[:3]]
    leaves = [payload["function"], *payload["args"], *payload["kwargs"].values(), *hooks]
    return sum(len(leaf) for leaf in leaves)
