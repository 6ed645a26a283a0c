"""The handler's side of one task: its process, its output, its cancellation, its end."""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .capture import CapturedOutput
from .descendants import end_descriptors, how
from .live_output import LiveOutput, OutputUploads
from .memory_file import memory_file, write_all
from .template import Template
from .watch import CancelWatch

_PIPE_BYTES = 64 * 1024
_DRAINED_BYTES = 1024 * 1024
_MESSAGE_BYTES = 1024
_BLOCK_BYTES = 512
_SURROGATE = b"\\ud"
"""How the escapes of both halves of a character begin in JSON."""
_LAST_S = 1.0
"""What a process that has let go of the handler has for its end, if its time is up."""
_CONTINUE_S = 1.0
"""How often the process that watches for cancellation is continued, in case the task stopped it."""
_GRACE_S = 0.5
"""Seconds that a cancelled task has to end by itself."""


@dataclass(frozen=True)
class Cancellation:
    """How a task may be cancelled.

    Parameters
    ----------
    url, task_id, poll_s
        As in `CancelWatch`; the first request is sent after `poll_s`.
    """

    url: str
    task_id: str
    poll_s: float


@dataclass(frozen=True)
class Ended:
    """A task that has ended.

    Parameters
    ----------
    answer
        Its answer, unchecked; None if it ended without one.
    how
        How its process ended: ``"exit status 3"``, ``"signal: killed"``.
    cancelled
        Whether it was cancelled.
    timed_out
        Whether it was killed because its time was up.
    stdout, stderr
        Its output.
    peak_kb
        Peak memory of its largest process.
    """

    answer: dict[str, Any] | None
    how: str
    cancelled: bool
    timed_out: bool
    stdout: str
    stderr: str
    peak_kb: int


class TaskProcess:
    """One task's process.

    Parameters
    ----------
    template
        Template that forks the process.
    task_file
        Descriptor of the task.
    packed
        Whether it is packed, as `wire` defines it.
    """

    def __init__(self, template: Template, task_file: int, *, packed: bool) -> None:
        self._template = template
        self._has_ended = False
        self._stdout = CapturedOutput()
        self._stderr = CapturedOutput()
        self._pid, self._process = template.next_process()
        self._ends = end_descriptors(self._pid)
        self._is_connected = True
        self._answer_file = memory_file("answer")
        self.result_file = memory_file("result")
        stdout, their_stdout = os.pipe()
        stderr, their_stderr = os.pipe()
        self._outputs = {stdout: (1, self._stdout), stderr: (2, self._stderr)}
        theirs = (task_file, self._answer_file, self.result_file, their_stdout, their_stderr)
        try:
            # A process that was killed while waiting has ended without an answer.
            with contextlib.suppress(OSError):
                message = json.dumps({"packed": packed}).encode()
                socket.send_fds(self._process, [message], theirs)
        finally:
            os.close(their_stdout)
            os.close(their_stderr)

    def wait(
        self, cancellation: Cancellation | None, live: LiveOutput | None = None, *, most_s: float
    ) -> Ended:
        """Wait for the task's end while passing on its output; return how it ended.

        Parameters
        ----------
        cancellation, live
            How it may be cancelled, and how its output is shown meanwhile; None to do neither.
        most_s
            Remaining time after which it is killed.
        """
        cancelled = timed_out = False
        ending: bytes | None = None
        uploads = OutputUploads(live, self._stdout, self._stderr) if live else None
        with contextlib.ExitStack() as ends, contextlib.ExitStack() as watches:
            if uploads:
                ends.callback(uploads.close)
            look_at = time.monotonic() + cancellation.poll_s if cancellation else None
            watch: CancelWatch | None = None
            kill_at: float | None = None
            time_is_up = time.monotonic() + most_s
            while ending is None:
                upload_at = uploads.due(time.monotonic()) if uploads else None
                continue_at = time.monotonic() + _CONTINUE_S if watch else None
                moments = look_at, kill_at, upload_at, continue_at, time_is_up
                ready = self._ready([watch] if watch else [], *moments)
                ending = self._ending(ready)
                now = time.monotonic()
                if uploads and ending is None:
                    uploads.advance(now)
                if watch and watch not in ready:
                    watch.go_on()
                elif watch and cancellation:
                    if watch.has_found():
                        cancelled, kill_at = True, now + _GRACE_S
                        self._signal(signal.SIGUSR1)
                    else:
                        look_at = now + cancellation.poll_s
                    watches.close()
                    watch = None
                if ending is None and now >= time_is_up:
                    timed_out = not cancelled
                    time_is_up, kill_at = math.inf, now
                if kill_at is not None and now >= kill_at:
                    kill_at = now + _GRACE_S
                    self._signal(signal.SIGKILL)
                if cancellation and look_at is not None and now >= look_at:
                    look_at = None
                    watch = CancelWatch(cancellation.url, cancellation.task_id, cancellation.poll_s)
                    watches.callback(watch.close)
        return self._ended(
            ending, cancelled=cancelled, timed_out=timed_out, most_s=time_is_up - time.monotonic()
        )

    def close(self) -> None:
        """Release what it had; end it if nobody has waited for its end."""
        if not self._has_ended:
            self._template.end_task()
        self._process.close()
        for descriptor in (*self._outputs, *self._ends, self._answer_file, self.result_file):
            os.close(descriptor)
        self._outputs.clear()

    def _ended(self, ending: bytes, *, cancelled: bool, timed_out: bool, most_s: float) -> Ended:
        answer = self._answer() if ending else None
        self._has_ended = True
        if answer is None:
            # Its output is complete only when its process has ended.
            # One that says it is done is not waited for, nor one whose time was up before.
            is_over = bool(ending) or most_s == math.inf
            patience_s = _LAST_S if is_over else max(most_s, _LAST_S)
            report = self._template.end_task(wait_s=patience_s)
            timed_out = timed_out or (report["status"] is None and not is_over)
        else:
            report = {"status": 0, "peak_kb": _peak_kb(ending)}
            self._template.end_task()
        self._drain()
        return Ended(
            answer=answer,
            how=how(signal.SIGKILL if report["status"] is None else report["status"]),
            cancelled=cancelled,
            timed_out=timed_out,
            stdout=self._stdout.text(),
            stderr=self._stderr.text(),
            peak_kb=report["peak_kb"],
        )

    def _ready(self, others: list[Any], *times: float | None) -> list[Any]:
        """Wait until something happens, and pass on output; return the other sources."""
        moments = [moment for moment in times if moment is not None]
        until = min(moments)
        timeout = max(until - time.monotonic(), 0) if until < math.inf else None
        sources = [*self._outputs, *self._ends, *others]
        if self._is_connected:
            sources.append(self._process)
        ready, _, _ = select.select(sources, [], [], timeout)
        for descriptor in [one for one in ready if one in self._outputs]:
            self._pass_on(descriptor)
        return ready

    def _ending(self, ready: list[Any]) -> bytes | None:
        """Return the message that the process sent at its end, which is empty if it sent none.

        None if it has not ended. It may have closed the connection, as programs do that replace it.
        """
        message = b""
        if self._is_connected and not {self._process, *self._ends}.isdisjoint(ready):
            with contextlib.suppress(OSError):
                message = self._process.recv(_MESSAGE_BYTES, socket.MSG_DONTWAIT)
            self._is_connected = bool(message)
        has_ended = self._ends[0] in ready if self._ends else not self._is_connected
        return message if message or has_ended else None

    def _pass_on(self, descriptor: int) -> bool:
        content = os.read(descriptor, _PIPE_BYTES)
        if not content:
            # Every process that could write has closed it.
            os.close(descriptor)
            del self._outputs[descriptor]
            return False
        target, captured = self._outputs[descriptor]
        captured.add(content)
        with contextlib.suppress(OSError):
            write_all(target, content)
        return True

    def _drain(self) -> None:
        """Read the remaining output in the pipes."""
        for descriptor in list(self._outputs):
            os.set_blocking(descriptor, False)
            with contextlib.suppress(BlockingIOError):
                # At most a pipe's capacity: processes left running may write forever.
                for _ in range(_DRAINED_BYTES // _PIPE_BYTES):
                    if not self._pass_on(descriptor):
                        break

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _answer(self) -> dict[str, Any] | None:
        """Return what the task's process has written, if that is an answer.

        It may have written anything, or made the files longer than memory is.
        """
        if not (_is_written(self._answer_file) and _is_written(self.result_file)):
            return None
        text = os.pread(self._answer_file, os.fstat(self._answer_file).st_size, 0)
        try:
            answer = json.loads(text)
            if _SURROGATE in text:
                # Lambda's runtime client could not send half a character.
                json.dumps(answer, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            return None
        return answer if isinstance(answer, dict) else None


@contextlib.contextmanager
def task_process(template: Template, task_file: int, *, packed: bool) -> Iterator[TaskProcess]:
    """Provide a task's process while the context is open."""
    process = TaskProcess(template, task_file, packed=packed)
    try:
        yield process
    finally:
        process.close()


def _is_written(descriptor: int) -> bool:
    """Return whether a file in memory has all the bytes that its size says."""
    found = os.fstat(descriptor)
    return found.st_size <= found.st_blocks * _BLOCK_BYTES


def _peak_kb(ending: bytes) -> int:
    try:
        return int(json.loads(ending)["peak_kb"])
    except (KeyError, TypeError, ValueError):
        return 0
