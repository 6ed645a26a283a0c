"""One execution environment: a process of this machine's Python that runs the real handler."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import covalent_lambda_container
from covalent_lambda_container.images.dockerfile import RUNTIME_PACKAGE
from covalent_lambda_container.ports.functions import Reply
from covalent_lambda_container.runtime.wire import LAMBDA_PAYLOAD_LIMIT

_RUNTIME = Path(covalent_lambda_container.__file__).parent / "runtime"
_LOG_TAIL_BYTES = 4096
_REQUEST = "RequestId: 11111111-2222-3333-4444-555555555555 Error:"

# What awslambdaric does around a handler: answers leave beside the task's own output, as strict
# UTF-8, and an exception becomes a description of itself.
_MAIN = f"""
import ctypes, json, os, sys, time
if sys.platform == "linux":
    # No process in Lambda has a capability; tests may run as root. capset(2), version 3.
    ctypes.CDLL(None).capset((ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)())
sys.path.insert(0, os.getcwd())
from {RUNTIME_PACKAGE}.invocation import Handler
scratch = sys.argv[3]
handler = Handler(scratch)
class Context:
    def __init__(self, timeout_s):
        self.ends = time.monotonic() + timeout_s
    def get_remaining_time_in_millis(self):
        return int((self.ends - time.monotonic()) * 1000)
questions, answers = os.fdopen(int(sys.argv[1]), "rb"), os.fdopen(int(sys.argv[2]), "wb")
for question in questions:
    try:
        event, timeout_s = json.loads(question)
        answer = json.dumps([handler.handle(event, Context(timeout_s)), ""], ensure_ascii=False)
        answer = answer.encode()
    except BaseException as exc:
        problem = {{"errorMessage": str(exc), "errorType": type(exc).__name__}}
        answer = json.dumps([problem, "Unhandled"]).encode()
    sys.stdout.flush()
    answers.write(answer + b"\\n")
    answers.flush()
"""


class Environment:
    """Runs one invocation after the other, until it crashes or is closed.

    Parameters
    ----------
    environment
        Variables of the function's own.

    Attributes
    ----------
    scratch
        The folder that stands for ``/tmp``.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="fake-lambda-")
        folder = Path(self._folder.name).resolve()
        (folder / RUNTIME_PACKAGE).symlink_to(_RUNTIME)
        self.scratch = folder / "tmp"
        self.scratch.mkdir()
        self._log = (folder / "log").open("w+b")
        theirs_in, self._questions = os.pipe()
        self._answers, theirs_out = os.pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _MAIN, str(theirs_in), str(theirs_out), str(self.scratch)],
            cwd=folder,
            env={"PATH": os.defpath, "NO_PROXY": "*"} | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process, whatever it is doing."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """End the process and all that it has started."""
        self.kill()
        self._process.wait()
        if not self._log.closed:
            os.close(self._questions)
            os.close(self._answers)
            self._log.close()
            self._folder.cleanup()

    def invoke(self, event: dict[str, Any], timeout_s: float) -> Reply:
        """Answer one event, as Lambda would report it."""
        start = self._log.seek(0, os.SEEK_END)
        with open(self._questions, "wb", closefd=False) as questions:
            questions.write(json.dumps([event, timeout_s]).encode() + b"\n")
        line = self._line(time.monotonic() + timeout_s)
        self._log.seek(start)
        log_tail = self._log.read()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace")
        if line is None:
            self.close()
            message = f"{_REQUEST} Task timed out after {timeout_s}.00 seconds"
            return _crash("Sandbox.Timedout", message, log_tail)
        if not line:
            status = self._process.wait()
            self.close()
            ended = f"exit status {status}" if status > 0 else "signal: killed"
            message = f"{_REQUEST} Runtime exited with error: {ended}"
            return _crash("Runtime.ExitError", message, log_tail)
        if len(line) > LAMBDA_PAYLOAD_LIMIT:
            message = f"Response payload size exceeded maximum ({LAMBDA_PAYLOAD_LIMIT} bytes)."
            return _crash("Function.ResponseSizeTooLarge", message, log_tail)
        payload, function_error = json.loads(line)
        return Reply(payload=payload, function_error=function_error, log_tail=log_tail)

    def _line(self, deadline: float) -> bytes | None:
        """Return what it answers; nothing when it ended, None when it did not answer in time."""
        line = b""
        while not line.endswith(b"\n"):
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self._answers], [], [], left_s)[0]:
                return None
            piece = os.read(self._answers, 1 << 20)
            if not piece:
                return b""
            line += piece
        return line


def _crash(kind: str, message: str, log_tail: str) -> Reply:
    payload = {"errorType": kind, "errorMessage": message}
    return Reply(payload=payload, function_error="Unhandled", log_tail=log_tail)
