"""Puts the standard library before a task's packages, as a virtual environment does.

This folder is on PYTHONPATH while a task runs, so that Python imports this module at the start of
every child process; the handler imports it before anything else. Lambda's bootstrap and PYTHONPATH
put folders before the standard library, where packages such as ``enum34`` or ``typing`` replace
modules of the interpreter.

It imports nothing that a package could replace: ``os``, ``site`` and ``sys`` are loaded by then.
"""

from __future__ import annotations

import os
import site
import sys

PACKAGES = "/var/task"
RUNTIME_INTERFACE = "/var/runtime"


def ordered(path: list[str], standard_library: str, own: list[str]) -> list[str]:
    """Return a search path with some folders moved behind the standard library.

    Parameters
    ----------
    path
        The search path.
    standard_library
        Folder of the standard library's modules.
    own
        Folders to move, in their order; they are added if they are missing.
    """
    rest = [folder for folder in path if folder not in own]
    inside = [
        number
        for number, folder in enumerate(rest)
        if folder.rstrip("/") in (standard_library, standard_library + "/lib-dynload")
    ]
    after = max(inside, default=-1) + 1
    return rest[:after] + own + rest[after:]


def apply() -> None:
    """Reorder this process's search path, and take this folder out of it."""
    here = os.path.dirname(os.path.abspath(__file__))
    own = [os.environ.get("LAMBDA_TASK_ROOT", PACKAGES)]
    interface = os.environ.get("LAMBDA_RUNTIME_DIR", RUNTIME_INTERFACE)
    if interface in sys.path:
        own.append(interface)
    others = [folder for folder in sys.path if os.path.abspath(folder) != here]
    sys.path[:] = ordered(others, os.path.dirname(os.__file__), own)


def run_path_files() -> None:
    """Do what the packages' ``.pth`` files say, as Python does where packages are installed.

    On Python 3.12 and later, setuptools provides ``distutils`` by such a file.
    """
    folder = os.environ.get("LAMBDA_TASK_ROOT", PACKAGES)
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(".pth"))
    except OSError:
        return
    for name in names:
        if name.startswith("."):
            continue
        try:
            site.addpackage(folder, name, None)
        except SystemExit as exc:
            sys.stderr.write(f"{name} raised SystemExit: {exc}\n")


if __name__ == "sitecustomize":
    apply()
    run_path_files()
    # Python imports one module of this name: the root image may have another one.
    this = sys.modules.pop(__name__)
    try:
        __import__(__name__)
    except ImportError:
        sys.modules[__name__] = this
