"""The surroundings of every task: directory, environment, streams, logging."""

from __future__ import annotations

import io
import logging
import os
import pwd
import sys

from .child_processes import sitecustomize
from .scratch import Scratch


def prepare_template(scratch: Scratch) -> None:
    """Set up the process that all tasks are forked from."""
    scratch.renew()
    if os.environ.get("HOME", "") in ("", "/", _owner_home()):
        os.environ["HOME"] = scratch.environment["HOME"]
    for name, folder in scratch.environment.items():
        # Variables set with the option `environment` are kept.
        os.environ.setdefault(name, folder)
    os.environ["COVALENT_PLUGIN_LOAD"] = "false"
    # Programs that tasks start find the image's packages.
    packages = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    os.environ["PATH"] = f"{packages}/bin:{os.environ.get('PATH', os.defpath)}"
    # Not the packages themselves: PYTHONPATH comes before the standard library.
    folders = [os.path.dirname(sitecustomize.__file__)]
    folders += [
        folder
        for folder in os.environ.get("PYTHONPATH", "").split(":")
        if folder and folder != os.environ.get("LAMBDA_RUNTIME_DIR")
    ]
    os.environ["PYTHONPATH"] = ":".join(folders)
    sitecustomize.run_path_files()
    # The runtime client's log handler writes around sys.stderr: tasks would lose their logging.
    logging.root.handlers = []


def prepare_task(scratch: Scratch) -> None:
    """Set up this process, which runs one task and ends with it."""
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    os.chdir(scratch.work)


def _owner_home() -> str:
    """Return the home directory of the system's user, which Lambda makes read-only."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        # Lambda runs functions as a user that may not exist in the image.
        return os.environ.get("HOME", "")


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Return an unbuffered text stream: nothing is lost when the process is killed."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        raw,  # as `python -u` does
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )
