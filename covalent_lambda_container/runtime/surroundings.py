"""What a task finds around it, the same for each: directory, environment, streams, logging."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys

from .scratch import Scratch


def prepare_template(scratch: Scratch) -> None:
    """Set up the process that all tasks are forked from."""
    scratch.renew()
    for name, folder in scratch.environment.items():
        # The function's own environment may name another folder that can be written to.
        if not os.environ.get(name, "").startswith(f"{scratch.path}/"):
            os.environ[name] = folder
    os.environ["COVALENT_PLUGIN_LOAD"] = "false"
    # Programs that tasks start find the image's packages.
    packages = os.environ.get("LAMBDA_TASK_ROOT", "/var/task")
    os.environ["PATH"] = f"{packages}/bin:{os.environ.get('PATH', os.defpath)}"
    python_path = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{packages}:{python_path}" if python_path else packages
    # The runtime client's log handler writes around sys.stderr: tasks would lose their logging.
    logging.root.handlers = []


def prepare_task(scratch: Scratch) -> None:
    """Set up this process, which runs one task and ends with it."""
    sys.stdout, sys.stderr = _stream(1), _stream(2)
    os.chdir(scratch.work)
    _seed()


def _stream(descriptor: int) -> io.TextIOWrapper:
    """Return an unbuffered text stream: nothing is lost when the process is killed."""
    raw = io.FileIO(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        raw,  # as `python -u` does
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )


def _seed() -> None:
    """Give numpy's global generator a state of its own, which forks would share.

    Python seeds its own generator after a fork.
    """
    random = sys.modules.get("numpy.random")
    if random is not None:
        with contextlib.suppress(Exception):
            random.seed()
