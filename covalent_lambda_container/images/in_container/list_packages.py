"""Writes lists of a folder's packages to it, as a build on the dispatcher's machine does.

usage: list_packages.py FOLDER

``requirements.lock`` pins what is installed; ``covalent_lambda_modules.json`` maps each module
to the requirements that install it.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata

LOCK = "requirements.lock"
MODULES = "covalent_lambda_modules.json"


def main(folder: str) -> None:
    """Write both files."""
    pins = set()
    modules: dict[str, set[str]] = {}
    for distribution in metadata.distributions(path=[folder]):
        name = distribution.metadata["Name"].lower().replace("_", "-").replace(".", "-")
        pin = f"{name}=={distribution.version}"
        pins.add(pin)
        if name == "cloudpickle":
            continue
        for file in distribution.files or ():
            top = file.parts[0].partition(".")[0]
            if file.suffix in (".py", ".so") and top not in ("", "bin"):
                modules.setdefault(top, set()).add(pin)
    with open(os.path.join(folder, LOCK), "w", encoding="utf-8") as lock:
        lock.writelines(f"{pin}\n" for pin in sorted(pins))
    with open(os.path.join(folder, MODULES), "w", encoding="utf-8") as listed:
        json.dump({name: sorted(modules[name]) for name in sorted(modules)}, listed)


if __name__ == "__main__":
    main(sys.argv[1])
