"""Values in a client: their headers record the packages that they need.

Results of tasks have such headers from their images. Covalent pickles a lattice's own arguments in
the client, where their packages are installed.
"""

from __future__ import annotations

import functools
import json
import logging
import shlex
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any, Final

from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.transport import REQUIRES
from covalent_lambda_container.packages.requirements import canonical_requirement
from covalent_lambda_container.runtime.provenance import modules_of

log = logging.getLogger(__name__)

_IN_EVERY_IMAGE: Final = frozenset({"covalent", "cloudpickle", "covalent-lambda-container"})


def note_packages(kind: Any = TransportableObject) -> None:
    """Make a class, Covalent's own, record the packages of the values of its objects.

    Pickling itself is unchanged.
    """
    make = kind.make_transportable
    if hasattr(make, "__wrapped__"):
        return

    @functools.wraps(make)
    def make_transportable(value: Any) -> Any:
        made = make(value)
        if made is not value:
            try:
                required = requirements_of(value)
            except Exception:
                # The task that unpickles it may still name them.
                log.debug("The packages of a value are not known.", exc_info=True)
            else:
                if required:
                    made.header[REQUIRES] = required
        return made

    kind.make_transportable = staticmethod(make_transportable)


def explain_missing_packages(kind: Any = TransportableObject) -> None:
    """Make a class, Covalent's own, name the packages needed to open an object's value."""
    load = kind.get_deserialized
    if hasattr(load, "__wrapped__"):
        return

    @functools.wraps(load)
    def get_deserialized(self: Any) -> Any:
        try:
            return load(self)
        except ImportError as exc:
            required = self.header.get(REQUIRES)
            if not isinstance(required, list) or not required:
                raise
            raise _with_packages(exc, [str(each) for each in required]) from exc

    kind.get_deserialized = get_deserialized


def _with_packages(exc: ImportError, required: list[str]) -> ImportError:
    """Return the error with the packages that the value was made with."""
    words = " ".join(shlex.quote(each) for each in required)
    said = (
        f"{exc}. To open this value, install the packages that it was made with: pip install "
        f"{words}; or have the electron return plain Python, such as float(…). A workflow's own "
        "nodes, such as a sublattice's, have them on the executor: "
        "@ct.lattice(workflow_executor='awslambda_container')."
    )
    return type(exc)(said, name=exc.name, path=exc.path)


def requirements_of(value: Any) -> list[str]:
    """Return the requirements for unpickling a value, in the versions installed here.

    Distributions installed from folders or files of this machine are excluded: no image can have
    them.
    """
    foreign = modules_of(value) - {*sys.stdlib_module_names, "__main__"}
    found = {pin for module in foreign for name in _owners().get(module, ()) for pin in _pin(name)}
    return sorted(found)


@functools.cache
def _owners() -> dict[str, list[str]]:
    """Return the distributions that contain each top-level module.

    In Python 3.10, `metadata.packages_distributions` finds only those with a ``top_level.txt``.
    """
    found: dict[str, list[str]] = {}
    for distribution in metadata.distributions():
        for module in _top_level_modules(distribution):
            found.setdefault(module, []).append(distribution.metadata["Name"])
    return found


def _top_level_modules(distribution: metadata.Distribution) -> set[str]:
    named = (distribution.read_text("top_level.txt") or "").split()
    if named:
        return set(named)
    modules = {file.parts[0].partition(".")[0] for file in distribution.files or ()}
    return {module for module in modules if module.isidentifier()}


@functools.cache
def _pin(name: str) -> tuple[str, ...]:
    return tuple(_pins(metadata.distribution(name)))


def _pins(distribution: metadata.Distribution) -> Iterator[str]:
    name = distribution.metadata["Name"]
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if name.lower() in _IN_EVERY_IMAGE or str(origin.get("url", "")).startswith("file:"):
        return
    version = distribution.version.partition("+")[0]
    text = f"{name}=={version}"
    if revision := origin.get("vcs_info"):
        text = f"{name} @ {revision['vcs']}+{origin['url']}@{revision['commit_id']}"
    yield canonical_requirement(text, "An argument of the client")
