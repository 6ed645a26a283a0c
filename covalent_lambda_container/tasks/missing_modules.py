"""What this machine knows of a module that a task has missed in its image."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib import metadata
from typing import Final

COVALENT: Final = "covalent"


def advice(module: str) -> str:
    """Say how to get a module into the image; empty when it is not known here either.

    Nothing is imported for that.

    Parameters
    ----------
    module
        Its full name, as ModuleNotFoundError has it: ``"google.cloud.storage"``.
    """
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
            f"On the dispatcher's machine {module} belongs to {requirement}: require it by "
            f"ct.DepsPip([{requirement!r}]), or in the option requirements."
        )
    place = _place(top)
    if place:
        return (
            f"{top} is on the dispatcher's machine, in {place}, and not in the image: put it there "
            f"by the executor's option local_packages=[{top!r}], or send it along with the "
            f"electron by deps_module=ct.DepsModule({top!r})."
        )
    return ""


def _owner(module: str) -> metadata.Distribution | None:
    """Find the distribution that has installed a module."""
    path = module.replace(".", "/")
    for distribution in metadata.distributions():
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
