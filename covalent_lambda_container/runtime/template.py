"""The process from which each task's process is forked.

It is forked from the handler before the first invocation, so that its memory, of which every task
gets a copy, has never held anything of another task. It imports what tasks of its function have
imported, ends what they leave running, and empties the folder that they write to.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from . import prctl
from .scratch import Scratch
from .surroundings import prepare_template
from .task_main import run_and_exit

_MESSAGE_BYTES = 64 * 1024
_MODULES_BYTES = 32 * 1024

TaskFiles = tuple[int, int, int, int, int]
"""Descriptors that a task's process gets: task, answer, result, standard output and error."""


class TemplateEnded(Exception):
    """The template's process has ended; a task of the same user may kill it."""


class Template:
    """The handler's side of it.

    Parameters
    ----------
    scratch
        The folder that tasks write to.
    """

    def __init__(self, scratch: str) -> None:
        self._scratch = Scratch(scratch)
        self._known: set[str] = set()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        if not os.fork():
            self._control.close()
            serve(theirs, self._scratch)
        theirs.close()
        prctl.hide_memory()
        prctl.adopt_orphans()

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when `report` would not block."""
        return self._control.fileno()

    def start(self, files: TaskFiles, *, packed: bool) -> None:
        """Fork a process for a task.

        Parameters
        ----------
        files
            What it works with.
        packed
            Whether the task's file holds the packed form, as `wire` defines it.
        """
        message = json.dumps({"packed": packed}).encode()
        try:
            socket.send_fds(self._control, [message], files)
        except OSError:
            self.restart()
            socket.send_fds(self._control, [message], files)

    def report(self) -> dict[str, Any]:
        """Return the next report.

        It is ``{"pid"}`` of a task that begins, or ``{"status", "peak_kb"}`` of one that has ended.

        Raises
        ------
        TemplateEnded
            There will be none.
        """
        try:
            message = self._control.recv(_MESSAGE_BYTES)
        except OSError as exc:
            raise TemplateEnded from exc
        if not message:
            raise TemplateEnded
        report: dict[str, Any] = json.loads(message)
        return report

    def preload(self, modules: Iterable[str]) -> None:
        """Have modules imported before the next task, which then finds them imported."""
        new = [name for name in modules if name not in self._known]
        self._known.update(new)
        message, size = [], 0
        for name in new:
            size += len(name) + 4
            if size > _MODULES_BYTES:
                break
            message.append(name)
        if message:
            with contextlib.suppress(OSError):
                self._control.send(json.dumps({"preload": message}).encode())

    def restart(self) -> None:
        """Start another template process, in an interpreter that knows nothing of this one."""
        end_children()
        self._control.close()
        self._known.clear()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            arguments = [str(theirs.fileno()), self._scratch.path, *self._scratch.kept]
            subprocess.Popen(
                [sys.executable, "-m", __name__, *arguments],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )


def serve(control: socket.socket, scratch: Scratch) -> None:
    """Fork tasks as the handler asks for them; never returns."""
    try:
        prctl.hide_memory()
        prctl.adopt_orphans()
        prepare_template(scratch)
        # Objects that the collector does not look at are not copied for its sake.
        gc.freeze()
        while True:
            message, files, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, 5)
            if not message:
                os._exit(0)
            wanted = json.loads(message)
            if "preload" in wanted:
                _import(wanted["preload"], scratch)
                continue
            _run(control, files, scratch, packed=wanted["packed"])
    except BaseException as exc:
        # The handler sees the connection end.
        print(f"The template of task processes ended: {exc!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(1)


def _run(control: socket.socket, files: list[int], scratch: Scratch, *, packed: bool) -> None:
    with warnings.catch_warnings():
        # Modules may have started threads when they were imported.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if not pid:
        control.close()
        run_and_exit(files, scratch, packed=packed)
    for descriptor in files:
        os.close(descriptor)
    control.send(json.dumps({"pid": pid}).encode())
    _, status, usage = os.wait4(pid, 0)
    end_children()
    control.send(json.dumps({"status": status, "peak_kb": usage.ru_maxrss}).encode())
    scratch.renew()


def end_children() -> None:
    """Kill all descendants of this process; orphans among them become its children."""
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid:
            continue
        for child in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(-1, 0)


def _children() -> Iterator[int]:
    own = str(os.getpid())
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        with contextlib.suppress(OSError):
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                # The command's name stands in parentheses and may contain anything.
                fields = file.read().rpartition(")")[2].split()
            if fields[1] == own:
                yield int(name)


def _import(modules: Iterable[str], scratch: Scratch) -> None:
    """Import what tasks have imported, so that the next ones find it imported."""
    environment, folder = dict(os.environ), os.getcwd()
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        for name in modules:
            # A module that cannot be imported here is the task's own concern.
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    gc.freeze()
    scratch.renew()


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), Scratch(sys.argv[2], sys.argv[3:]))
