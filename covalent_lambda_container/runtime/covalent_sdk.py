"""Covalent's SDK in an image: it learns what Covalent's own workers know.

It is there only for tasks that refer to it, and only they have it imported.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping
from typing import Any

from .provenance import requirements_of

_VALUES = "covalent._workflow.transportable_object"
_CONTEXT = "covalent.executor.utils.context"


def prepare(context: Mapping[str, Any]) -> None:
    """Give Covalent the task's context, where it has been imported.

    Parameters
    ----------
    context
        ``dispatch_id`` and ``node_id`` for ``covalent.get_context``; and ``image``, the tag of the
        image, for the headers of values that a sublattice gives to its electrons.
    """
    values = sys.modules.get(_VALUES)
    made = getattr(values, "TransportableObject", None)
    if made is not None and not hasattr(made, "covalent_lambda_image"):
        made.covalent_lambda_image = context.get("image", "")
        made.make_transportable = staticmethod(_noting_packages(made))
    module = sys.modules.get(_CONTEXT)
    if module is not None and hasattr(module, "Context"):
        module.current_context = module.Context(  # type: ignore[attr-defined]
            dispatch_id=context["dispatch_id"], task_id=context["node_id"]
        )


def import_covalent() -> None:
    """Import Covalent, if the image has it."""
    with contextlib.suppress(ImportError):
        importlib.import_module(_CONTEXT)


class _Chosen(dict[str, Any]):
    """Options of an executor that is named, and takes them from its configuration."""

    def __bool__(self) -> bool:
        return True


def builds_sublattice(function: Any) -> bool:
    """Return whether a function is Covalent's own that builds a sublattice's graph."""
    return (
        getattr(function, "__module__", "") == "covalent._workflow.electron"
        and getattr(function, "__name__", "") == "_build_sublattice_graph"
    )


def keep_executors(function: Any, args: list[Any]) -> None:
    """Have a sublattice keep the executors that it names.

    Covalent takes everything from the parent lattice that is empty in the sublattice, and so the
    options of the parent's executor for another one that is given by its name alone.
    """
    if not builds_sublattice(function):
        return
    metadata = args[0].metadata
    for key in ("executor", "workflow_executor"):
        if metadata.get(key) and not metadata.get(f"{key}_data"):
            metadata[f"{key}_data"] = _Chosen()


def _noting_packages(kind: Any) -> Any:
    make = kind.make_transportable

    def make_transportable(value: Any) -> Any:
        """Wrap a value, with the packages that its pickle refers to in its header."""
        made = make(value)
        if made is not value:
            required = requirements_of(value)
            if required:
                made.header.update(requires=required, image=kind.covalent_lambda_image)
        return made

    return make_transportable
