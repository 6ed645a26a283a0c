"""Finds the packages that a value's pickle refers to, which unpickling it needs."""

from __future__ import annotations

import json
import os
from functools import lru_cache
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, BinaryIO, cast

import cloudpickle

MODULES_FILE = "covalent_lambda_modules.json"
"""File next to the packages, written by the build: ``{top-level module: [requirement, …]}``."""

# Types whose objects are pickled under their own names; all others under their class's name.
_NAMED = (type, FunctionType, BuiltinFunctionType)


class RecordingPickler(cloudpickle.Pickler):  # type: ignore[misc]
    """A cloudpickle pickler that records the top-level modules that the pickle refers to."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file)
        self.modules: set[str] = set()

    def reducer_override(self, obj: Any) -> Any:
        # Called for everything except plain built-in values, which need no package.
        if isinstance(obj, ModuleType):
            module: Any = obj.__name__
        else:
            module = getattr(obj if isinstance(obj, _NAMED) else type(obj), "__module__", None)
        if isinstance(module, str):
            self.modules.add(module.partition(".")[0])
        return super().reducer_override(obj)


def dump(value: Any, file: BinaryIO) -> list[str]:
    """Write a value's pickle, as ``cloudpickle.dump`` does, to a file.

    Returns
    -------
    list of str
        Requirements for unpickling it, such as ``"numpy==2.1.0"``, sorted.
    """
    pickler = RecordingPickler(file)
    pickler.dump(value)
    installed = installed_modules()
    return sorted({text for module in pickler.modules for text in installed.get(module, ())})


def requirements_of(value: Any) -> list[str]:
    """Return the requirements for unpickling a value, sorted."""
    return dump(value, cast("BinaryIO", Nowhere()))


def modules_of(value: Any) -> set[str]:
    """Return the top-level modules that a value's pickle refers to."""
    pickler = RecordingPickler(cast("BinaryIO", Nowhere()))
    pickler.dump(value)
    return pickler.modules


class Nowhere:
    """A file that discards everything written to it."""

    def write(self, data: Any) -> None:
        """Accept and discard any bytes."""


@lru_cache(maxsize=1)
def installed_modules() -> dict[str, list[str]]:
    """Return the image's top-level modules of packages, with the requirements they belong to."""
    path = os.path.join(os.environ.get("LAMBDA_TASK_ROOT", "/var/task"), MODULES_FILE)
    try:
        with open(path, encoding="utf-8") as file:
            modules: dict[str, list[str]] = json.load(file)
            return modules
    except FileNotFoundError:
        return {}
