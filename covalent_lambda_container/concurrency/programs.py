"""Programs that are run to their end, unless the work that wants it is cancelled."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from covalent_lambda_container.concurrency import cancellable


def run_program(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path | None = None
) -> tuple[int, str]:
    """Run a program without input; return its exit status and what it wrote, errors included.

    It is killed, with all that it has started, when the work is cancelled or this thread is
    interrupted. What it leaves running when it ends, such as a keyring's agent, is not waited for,
    although it may have the output open: that goes through a file.

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
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # What it starts can be killed with it.
            start_new_session=True,
        ) as process,
    ):

        def kill() -> None:
            # macOS refuses for one that has ended.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)

        try:
            with cancellable.stopped_by(kill):
                process.wait()
                cancellable.check()
        except BaseException:
            kill()
            raise
        output.seek(0)
        return process.returncode, output.read().decode("utf-8", "replace").replace("\r\n", "\n")
