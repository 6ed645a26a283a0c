"""Runs a workflow's file like a script, and finds its lattices and electrons."""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cloudpickle
from covalent._workflow.electron import Electron
from covalent._workflow.lattice import Lattice

from covalent_lambda_container.errors import ConfigurationError

_MODULE_NAME: Final = "__workflow__"


@contextmanager
def imported(path: Path) -> Iterator[ModuleType]:
    """Run a file as a module, with its folder first on the import path, as for a script.

    Raises
    ------
    ConfigurationError
        It is not a Python file, or ends the program. Its other exceptions are passed on.
    """
    spec = importlib.util.spec_from_file_location(_MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise ConfigurationError(f"{path} is not a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE_NAME] = module
    sys.path.insert(0, str(path.resolve().parent))
    # A script's functions are pickled by value, with the same references as in a dispatch.
    cloudpickle.register_pickle_by_value(module)
    try:
        try:
            spec.loader.exec_module(module)
        except SystemExit as exc:
            raise ConfigurationError(
                f"{path} ended while it was imported, with exit status {exc.code}.",
                hint='Put code that should not run on import under: if __name__ == "__main__"',
            ) from exc
        yield module
    finally:
        cloudpickle.unregister_pickle_by_value(module)
        sys.path.remove(str(path.resolve().parent))
        del sys.modules[_MODULE_NAME]


def lattices_of(module: ModuleType, path: Path, name: str | None) -> dict[str, Lattice]:
    """Return a file's lattices by name: the one requested, or all.

    Raises
    ------
    ConfigurationError
        There is no lattice of that name, or none at all.
    """
    there = {key: value for key, value in vars(module).items() if isinstance(value, Lattice)}
    if name is None and there:
        return there
    if name in there:
        return {name: there[name]}
    wanted = f" {name!r}: its lattices are {', '.join(there)}" if name and there else ""
    raise ConfigurationError(
        f"{path} has no lattice{wanted}.",
        hint="Lattices are found by their names in the file: @ct.lattice def workflow(…).",
    )


def electrons_of(module: ModuleType) -> list[Any]:
    """Return the electrons that are global names of a file."""
    return [
        value
        for value in vars(module).values()
        if inspect.isfunction(value) and isinstance(vars(value).get("electron_object"), Electron)
    ]
