"""Advice on modules missing in an image, from the modules of this machine."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
import time
from importlib import metadata
from typing import Final

COVALENT: Final = "covalent"

_FRESH_S: Final = 60.0
"""How long the distributions that were found are remembered: reading the lists of their files takes
a second, and all tasks of a wide lattice may miss the same module."""


def advice(module: str) -> str:
    """Return how to get a module into the image; empty if it is not known here either.

    Nothing is imported.

    Parameters
    ----------
    module
        The full name, as in ModuleNotFoundError: ``"google.cloud.storage"``.
    """
    if not all(part.isidentifier() for part in module.split(".")):
        # A function may report anything.
        return ""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return (
            f"{module} belongs to Python's standard library, of which the image's Python has only "
            "a part: choose another base_image."
        )
    if top == COVALENT:
        return (
            "Covalent is put into the image of a task whose function, arguments or hooks refer to "
            "it, and this one's do so only while it runs: refer to it where Covalent can see it, "
            "for example by `import covalent` above the electron."
        )
    owner = _owner(module)
    if owner is not None and not _is_local(owner):
        requirement = "{}=={}".format(owner.metadata["Name"], owner.version.partition("+")[0])
        return (
            f"On the dispatcher's machine {module} belongs to {requirement}: require it with "
            f"ct.DepsPip([{requirement!r}]), or in the option requirements."
        )
    place = _place(top)
    if place:
        return (
            f"{top} is on the dispatcher's machine, in {place}, and not in the image: add it there "
            f"with the executor's option local_packages=[{top!r}], or import it above "
            f"the electron and send it with that: deps_module=ct.DepsModule({top!r})."
        )
    return ""


class _Owners:
    """The distributions of this machine, by what they install at the top level."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read_at = 0.0
        self._path: list[str] = []
        self._found: dict[str, list[metadata.Distribution]] = {}

    def of(self, top: str) -> list[metadata.Distribution]:
        """Return the distributions with a module or folder of this name."""
        with self._lock:
            now = time.monotonic()
            if self._path != sys.path or now > self._read_at + _FRESH_S:
                self._found, self._read_at, self._path = self._read(), now, list(sys.path)
            return self._found.get(top, [])

    @staticmethod
    def _read() -> dict[str, list[metadata.Distribution]]:
        found: dict[str, list[metadata.Distribution]] = {}
        for distribution in metadata.distributions():
            tops = {file.parts[0].partition(".")[0] for file in distribution.files or ()}
            for top in tops:
                found.setdefault(top, []).append(distribution)
        return found


_owners: Final = _Owners()


def _owner(module: str) -> metadata.Distribution | None:
    """Find the distribution that installed a module."""
    path = module.replace(".", "/")
    for distribution in _owners.of(module.partition(".")[0]):
        for file in distribution.files or ():
            if file.as_posix().startswith((f"{path}/", f"{path}.")):
                return distribution
    return None


def _is_local(distribution: metadata.Distribution) -> bool:
    """Return whether a distribution was installed from a folder or a file of this machine."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return str(origin.get("url", "")).startswith("file:")


def _place(top: str) -> str:
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return ""
    if spec is None:
        return ""
    folders = list(spec.submodule_search_locations or ())
    return folders[0] if folders else spec.origin or ""
