"""Programs that are run to their end, unless the work that wants it is cancelled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from covalent_lambda_container.concurrency import cancellable


def run_program(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path | None = None
) -> tuple[int, str]:
    """Run a program without input; return its exit status and what it wrote, errors included.

    It is killed, with all that it has started, when the work is cancelled or this thread is
    interrupted.

    Parameters
    ----------
    environment
        All of its variables.
    folder
        Where it runs; by default where this process does.

    Raises
    ------
    Cancelled
        The work was cancelled.
    """
    with subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        # What it starts can be killed with it.
        start_new_session=True,
    ) as process:

        def kill() -> None:
            # macOS refuses for one that has ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

        try:
            with cancellable.stopped_by(kill):
                output, _ = process.communicate()
                cancellable.check()
        except BaseException:
            kill()
            raise
        return process.returncode, output
