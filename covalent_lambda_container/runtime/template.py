"""The process from which each task's process is forked.

It is forked from the handler before the first invocation, so that its memory, of which every task
gets a copy, has never held data of another task. It ends processes that a task leaves running,
empties the folder that tasks write to, and forks the next task's process, which waits for its task:
all this while the handler delivers an answer or is idle.

It imports nothing for tasks. A module that was imported before a fork would be the same in all of
them: with the same state of its random generators, without the threads that it had started, and
regardless of environment variables that a task sets before it imports it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import warnings
from typing import Any

from . import prctl
from .descendants import end_children, end_of, is_stopped
from .process_limits import OwnLimits, limits_of
from .scratch import Scratch
from .surroundings import prepare_template
from .task_main import wait_and_run

_MESSAGE_BYTES = 64 * 1024
_PATIENCE_S = 30.0
_LOOK_S = 0.1
"""How often the handler looks whether the template was stopped."""
_MOST_STOPS = 5


_RESTARTED = f"""
import json, sys
arguments = json.loads(sys.argv[1])
sys.path[:] = arguments.pop("path")
from {__name__} import restarted
restarted(**arguments)
"""


class TemplateEnded(Exception):
    """The template's process has ended, or is no longer what it was.

    A task, which has the same user, may have killed it, or lowered its limits.
    """


class Template:
    """The handler's side of the template.

    Parameters
    ----------
    scratch
        The folder that tasks write to.
    patience_s
        How long the template may take to clean up after a task.
    """

    def __init__(self, scratch: str, patience_s: float = _PATIENCE_S) -> None:
        self._scratch = Scratch(scratch)
        self._patience_s = patience_s
        self._pid = 0
        self._limits = OwnLimits()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._pid = os.fork()
        if not self._pid:
            self._control.close()
            serve(theirs, self._scratch)
        theirs.close()
        prctl.hide_memory()
        prctl.adopt_orphans()

    def restore_limits(self) -> None:
        """Restore the handler's own limits, which a task may have lowered, as far as possible."""
        self._limits.restored()

    def next_process(self) -> tuple[int, socket.socket]:
        """Return the id of the process for the next task, and the connection to it."""
        try:
            return self._next_process()
        except TemplateEnded:
            self._restart()
            return self._next_process()

    def _next_process(self) -> tuple[int, socket.socket]:
        try:
            self._await_message(self._patience_s)
            message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, 1)
        except OSError as exc:
            raise TemplateEnded from exc
        if not message:
            raise TemplateEnded
        process = socket.socket(fileno=descriptors[0])
        if self._limits.restored() != limits_of(self._pid):
            # So has the process that it forked.
            process.close()
            raise TemplateEnded
        return json.loads(message)["pid"], process

    def end_task(self, *, wait_s: float | None = None) -> dict[str, Any]:
        """End the task's process, and fork the next one.

        Parameters
        ----------
        wait_s
            How long its process may take to end by itself; None to kill it, and not to wait.

        Returns
        -------
        dict
            ``status`` of the process, None if it did not end in time, and its ``peak_kb``.
        """
        reports = wait_s is not None
        message = json.dumps({"report": reports}).encode()
        try:
            self._control.send(message)
            if wait_s is not None:
                self._await_message(wait_s)
                report: dict[str, Any] = json.loads(self._control.recv(_MESSAGE_BYTES))
                return report
        except TimeoutError:
            self._restart()
            return {"status": None, "peak_kb": 0}
        except (OSError, ValueError):
            # Most likely killed by the task, whose process ends with it.
            self._restart()
        return {"status": signal.SIGKILL, "peak_kb": 0}

    def _await_message(self, patience_s: float) -> None:
        """Wait until the template has sent something, or has ended.

        A task may have stopped it by a signal, and have left a process that stops it again.

        Raises
        ------
        TimeoutError
            It takes longer than that.
        ConnectionError
            It is stopped again and again.
        """
        ends, stops = time.monotonic() + patience_s, 0
        while not select.select([self._control], [], [], _LOOK_S)[0]:
            if time.monotonic() > ends:
                raise TimeoutError
            if is_stopped(self._pid):
                stops += 1
                if stops > _MOST_STOPS:
                    raise ConnectionError
                os.kill(self._pid, signal.SIGCONT)

    def _restart(self) -> None:
        """Start another template process, in an interpreter that shares no memory with this one."""
        end_children()
        # It inherits them.
        self._limits.restored()
        self._control.close()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            # Not through PYTHONPATH, which the programs that tasks start would see.
            arguments = {
                "path": sys.path,
                "control": theirs.fileno(),
                "scratch": [self._scratch.path, sorted(self._scratch.kept), self._scratch.mode],
            }
            started = subprocess.Popen(
                [sys.executable, "-c", _RESTARTED, json.dumps(arguments)],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        self._pid = started.pid


def restarted(control: int, scratch: list[Any]) -> None:
    """Run a template that is started instead of forked; never returns."""
    serve(socket.socket(fileno=control), Scratch(*scratch))


def serve(control: socket.socket, scratch: Scratch) -> None:
    """Fork one process for a task after the other; never returns."""
    try:
        prctl.hide_memory()
        prctl.adopt_orphans()
        prepare_template(scratch)
        while True:
            # Frozen objects are not visited by the collector, and so not copied.
            gc.freeze()
            pid = _fork(control, scratch)
            message = control.recv(_MESSAGE_BYTES)
            if not message:
                os._exit(0)
            asked = json.loads(message)
            if not asked["report"]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            status, peak_kb = end_of(pid)
            end_children()
            if asked["report"]:
                report = {"status": status, "peak_kb": peak_kb}
                control.send(json.dumps(report).encode())
            scratch.renew()
    except ConnectionError:
        # The handler has ended.
        pass
    except BaseException as exc:
        # The handler sees the connection end.
        print(f"The template of task processes ended: {exc!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _fork(control: socket.socket, scratch: Scratch) -> int:
    """Fork a process that waits for its task, and send the handler the connection to it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with warnings.catch_warnings():
        # Code in packages' .pth files may have started threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        control.close()
        ours.close()
        wait_and_run(theirs, scratch)
    theirs.close()
    with ours:
        socket.send_fds(control, [json.dumps({"pid": pid}).encode()], [ours.fileno()])
    return pid
