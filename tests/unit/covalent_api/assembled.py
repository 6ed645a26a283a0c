"""Calls as Covalent's dispatcher assembles them, and pickles that reveal when they are opened."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

from covalent._workflow.transport import TransportableObject
from covalent.executor.utils.wrappers import wrapper_fn

from covalent_lambda_container.covalent_api.transport import transportable

WENT_OFF: list[str] = []


def go_off() -> None:
    WENT_OFF.append("unpickled")


class Bomb:
    """Tells when somebody unpickles it."""

    def __reduce__(self) -> Any:
        return go_off, ()


def add(x: int, y: int = 0) -> int:
    return x + y


def assembled(
    function: Any, call_before: list[Any] | None = None, call_after: list[Any] | None = None
) -> Callable[..., Any]:
    """Return the callable that Covalent's dispatcher passes to an executor."""
    return partial(wrapper_fn, sealed(function), call_before or [], call_after or [])


def sealed(value: Any) -> TransportableObject:
    return TransportableObject(value)


def named(name: str, pickled: bytes) -> TransportableObject:
    """Return a TransportableObject that says it is a function of some name."""
    header = {"py_version": "3.11.7", "cloudpickle_version": "3.1.0", "attrs": {"name": name}}
    return transportable(header, name, base64.b64encode(pickled).decode())
