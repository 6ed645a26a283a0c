"""What the process of one task does, from its fork to its end."""

from __future__ import annotations

import base64
import contextlib
import json
import mmap
import os
import signal
import sys
from collections.abc import Sequence
from itertools import islice
from typing import Any, NoReturn

from . import prctl, wire
from .execution import Cancelled, execute
from .memory_file import write_all
from .scratch import Scratch
from .surroundings import prepare_task

_OOM_SCORE = b"1000"


def run_and_exit(files: Sequence[int], scratch: Scratch, *, packed: bool) -> NoReturn:
    """Run the task that the first file holds, write its answer to the others, and exit.

    Parameters
    ----------
    files
        As `template.TaskFiles`.
    scratch
        The folder to work in.
    packed
        Whether the task is packed, as `wire` defines it; else it is JSON with base64 leaves.
    """
    status = 1
    try:
        task_file, answer_file, result_file, stdout, stderr = files
        _separate(stdout, stderr)
        imported = len(sys.modules)
        prepare_task(scratch)
        with open(result_file, "wb", closefd=False) as result:
            answer = execute(lambda: _read(task_file, packed=packed), result)
        answer["modules"] = _imported_since(imported, scratch)
        write_all(answer_file, json.dumps(answer).encode())
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        status = 0
    except Cancelled:
        pass
    finally:
        os._exit(status)


def _separate(stdout: int, stderr: int) -> None:
    """Make this a process of its own: session, streams, signals, memory."""
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    os.setsid()
    prctl.die_with_parent()
    prctl.show_memory()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        # When memory is short, the kernel ends the task and not the handler.
        file.write(_OOM_SCORE)
    signal.signal(signal.SIGUSR1, _cancel)


def _cancel(*_: Any) -> None:
    raise Cancelled


def _read(descriptor: int, *, packed: bool) -> dict[str, Any]:
    whole = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    if packed:
        return wire.unpack_task(whole)
    return wire.map_leaves(json.loads(whole[:]), base64.b64decode)


def _imported_since(before: int, scratch: Scratch) -> list[str]:
    """Return the modules of the image that the task imported, in the order of their imports."""
    found = []
    for name, module in islice(list(sys.modules.items()), before, None):
        spec = getattr(module, "__spec__", None)
        origin = getattr(spec, "origin", None)
        if getattr(spec, "name", None) != name or not isinstance(origin, str):
            continue
        if os.path.isabs(origin) and not origin.startswith(f"{scratch.path}/"):
            found.append(name)
    return found
