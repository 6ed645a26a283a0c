"""The process of one task, from its fork to its end."""

from __future__ import annotations

import base64
import contextlib
import json
import mmap
import os
import resource
import signal
import socket
import sys
from typing import Any, NoReturn

from . import prctl, wire
from .execution import Cancelled, execute
from .memory_file import write_all
from .scratch import Scratch
from .surroundings import prepare_task

_OOM_SCORE = b"1000"
_MESSAGE_BYTES = 1024


def wait_and_run(handler: socket.socket, scratch: Scratch) -> NoReturn:
    """Wait for a task, run it, write its answer to the files that came with it, and exit.

    Parameters
    ----------
    handler
        Connection to the handler. It sends whether the task is packed, as `wire` defines it, or
        JSON with base64 leaves; and five descriptors: of the task, the answer, the result's pickle,
        standard output and standard error. It is notified when the answer is complete.
    scratch
        The folder to work in.
    """
    status = 1
    try:
        _separate()
        prepare_task(scratch)
        message, files, _, _ = socket.recv_fds(handler, _MESSAGE_BYTES, 5)
        if not message:
            # The handler has ended.
            os._exit(0)
        task_file, answer_file, result_file, stdout, stderr = files
        for descriptor, target in ((stdout, 1), (stderr, 2)):
            os.dup2(descriptor, target)
            os.close(descriptor)
        with open(result_file, "wb", closefd=False) as result:
            answer = execute(lambda: _read(task_file, packed=json.loads(message)["packed"]), result)
        write_all(answer_file, json.dumps(answer).encode())
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        peak_kb = max(
            resource.getrusage(who).ru_maxrss
            for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        handler.send(json.dumps({"peak_kb": peak_kb}).encode())
        status = 0
    except Cancelled:
        # End as the signal would have ended it, so that the handler sees why.
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        os._exit(status)


def _separate() -> None:
    """Separate this process from the handler's: session, signals, memory."""
    os.setsid()
    prctl.die_with_parent()
    prctl.show_memory()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
        # If memory runs out, the kernel kills the task instead of the handler.
        file.write(_OOM_SCORE)
    signal.signal(signal.SIGUSR1, _cancel)


def _cancel(*_: Any) -> None:
    raise Cancelled


def _read(descriptor: int, *, packed: bool) -> dict[str, Any]:
    whole = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
    if packed:
        return wire.unpack_task(whole)
    return wire.map_leaves(json.loads(whole[:]), base64.b64decode)
