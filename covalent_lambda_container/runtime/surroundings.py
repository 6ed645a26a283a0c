"""What a task finds around it, the same for each: directory, environment, streams, logging."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterator

from .capture import CapturedStream
from .child_processes import sitecustomize
from .processes import MARK, end_leftovers

_SCRATCH = "/tmp"

# Lambda's file system is read-only but for /tmp, and its HOME does not exist.
_WRITABLE_DIRECTORIES = {
    "HOME": "/tmp/home",
    "XDG_CACHE_HOME": "/tmp/home/.cache",
    "MPLCONFIGDIR": "/tmp/home/.config/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/home/.cache/numba",
    "COVALENT_CONFIG_DIR": "/tmp/home/.config/covalent",
}

_streams: tuple[CapturedStream, CapturedStream] | None = None
_scratch_before: frozenset[str] | None = None


def captured_streams() -> tuple[CapturedStream, CapturedStream]:
    """Return the captures of stdout and stderr; put in place once, for the life of the process.

    Libraries keep references to ``sys.stderr`` between tasks.
    """
    global _streams
    if _streams is None:
        _streams = CapturedStream(sys.stdout), CapturedStream(sys.stderr)
    sys.stdout, sys.stderr = _streams
    return _streams


@contextlib.contextmanager
def surroundings() -> Iterator[None]:
    """Give the task a clean directory, environment and logging; put back what it changed."""
    global _scratch_before
    if _scratch_before is None:
        _scratch_before = frozenset(os.listdir(_SCRATCH))
    before = dict(os.environ)
    _prepare_environment()
    home = os.getcwd()
    search_path = list(sys.path)
    # The runtime client's log handler writes around sys.stderr: the task would lose its logging.
    handlers, level = logging.root.handlers, logging.root.level
    logging.root.handlers = []
    work_directory = tempfile.mkdtemp(prefix="task-", dir=_SCRATCH)
    os.chdir(work_directory)
    try:
        yield
    finally:
        os.chdir(home)
        end_leftovers()
        shutil.rmtree(work_directory, ignore_errors=True)
        _make_room()
        logging.root.handlers, logging.root.level = handlers, level
        sys.path[:] = search_path
        if dict(os.environ) != before:
            os.environ.clear()
            os.environ.update(before)


def _prepare_environment() -> None:
    if os.environ.get("HOME") in (None, "", "/", _owner_home()):
        os.environ["HOME"] = _WRITABLE_DIRECTORIES["HOME"]
    for name, path in _WRITABLE_DIRECTORIES.items():
        # What the user has set by the option `environment` stays, a read-only folder included.
        with contextlib.suppress(OSError):
            os.makedirs(os.environ.setdefault(name, path), exist_ok=True)
    os.environ["COVALENT_PLUGIN_LOAD"] = "false"
    # Programs that the task starts find its packages, and are found again.
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
    os.environ[MARK] = "1"


def _owner_home() -> str:
    """Return the home that the system's user has, which Lambda does not let it write to."""
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:
        # Lambda runs functions as a user that an image need not know.
        return os.environ["HOME"]


def _make_room() -> None:
    """Empty /tmp of what tasks left there, once half of it is used.

    Until then it stays: caches in HOME make the next task of the same function faster.
    """
    usage = shutil.disk_usage(_SCRATCH)
    if usage.used < usage.total / 2:
        return
    for entry in os.scandir(_SCRATCH):
        if entry.name in (_scratch_before or ()):
            continue
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            # A thread that the task has left may be faster.
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
