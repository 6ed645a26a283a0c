"""Servers as child processes: each has a log file, is awaited, and is certain to end."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import covalent_lambda_container
from covalent_lambda_container.errors import LocalStackError
from covalent_lambda_container.local import child_supervisor

_LOG_TAIL_LINES: Final = 15
_LEASH_MARGIN_S: Final = 5.0


@contextmanager
def child_process(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    log_file: Path,
    working_directory: Path | None = None,
    pass_fds: Sequence[int] = (),
    grace_s: float = 10.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the context is open; it dies with this process, however that dies.

    Parameters
    ----------
    command
        Program and arguments; no shell is involved.
    environment
        The whole environment of the command.
    log_file
        File for the command's standard output and error; a previous log is overwritten.
    pass_fds
        File descriptors that the command inherits under the same numbers.
    grace_s
        Seconds between SIGTERM to the command and SIGKILL to its process group.

    Yields
    ------
    subprocess.Popen
        The process that holds the command; it ends when the command ends.
    """
    # -I -S: neither the environment nor site-packages can change or slow what the supervisor does.
    supervised = [
        sys.executable,
        "-I",
        "-S",
        child_supervisor.__file__,
        str(os.getpid()),
        str(grace_s),
        *command,
    ]
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            supervised,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=dict(environment),
            cwd=working_directory,
            pass_fds=tuple(pass_fds),
            # Ctrl-C in the terminal reaches only this process, which then stops the rest in order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(grace_s + _LEASH_MARGIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(
    ready: Callable[[], bool],
    process: subprocess.Popen[bytes],
    *,
    name: str,
    log_file: Path,
    timeout_s: float,
) -> None:
    """Wait until ``ready()`` is true.

    Raises
    ------
    LocalStackError
        The process ended, or ``timeout_s`` passed; the end of its log is in the message.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        if (status := process.poll()) is not None:
            seen = f"ended with status {status} before it answered"
        elif time.monotonic() > deadline:
            seen = f"did not answer within {timeout_s:.0f} s"
        else:
            time.sleep(0.05)
            continue
        raise LocalStackError(
            f"{name} {seen}. The end of its log:\n{log_tail(log_file)}",
            hint=f"The whole log: {log_file}",
        )


def log_tail(log_file: Path) -> str:
    """Return the last lines of a log, or a note that there are none."""
    try:
        lines = log_file.read_text(errors="replace").splitlines()
    except OSError as exc:
        return f"({exc})"
    return "\n".join(lines[-_LOG_TAIL_LINES:]) or "(empty)"


def answers_http(port: int, path: str) -> bool:
    """Whether ``GET path`` on the loopback address gets any answer below 500."""
    # http.client, because it never uses a proxy of the environment.
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """Return a TCP port that was free on the loopback address a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def python_path() -> str:
    """Return a ``PYTHONPATH`` with which a child finds this package, in a checkout too."""
    own = str(Path(covalent_lambda_container.__file__).parent.parent)
    return os.pathsep.join(filter(None, (own, os.environ.get("PYTHONPATH"))))


def unproxied() -> dict[str, str]:
    """Return variables with which a child's clients reach this machine without any proxy."""
    bypassed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    bypassed = ",".join(filter(None, (bypassed, "localhost", "127.0.0.1")))
    return {"NO_PROXY": bypassed, "no_proxy": bypassed}
