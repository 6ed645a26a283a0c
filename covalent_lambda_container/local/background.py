"""The local stack in the background, independent of the shell that started it.

    python -m covalent_lambda_container.local.background FOLDER PORT

runs the stack until SIGTERM. Its folder has the lock that a running stack holds, its process id,
its log, and, once it is ready, its address. If nobody holds the lock, no stack is running, whatever
else is in the folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import IO, Any, Final

import docker
from filelock import FileLock, Timeout

from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.errors import LambdaContainerError, LocalStackError
from covalent_lambda_container.local.child_process import log_tail, python_path
from covalent_lambda_container.local.engine import docker_engine
from covalent_lambda_container.local.root_image import ensure_root_image
from covalent_lambda_container.local.stack import LocalStack, local_stack

#: The first start may install a Docker engine and build the root image.
_START_TIMEOUT_S: Final = 600.0
#: More than the limits of the emulator and of its own engine together.
_STOP_TIMEOUT_S: Final = 90.0
_LOOK_INTERVAL_S: Final = 0.1
#: A process that only checks holds the lock for a moment.
_LOCK_PATIENCE_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class BackgroundStack:
    """A running stack.

    Attributes
    ----------
    environment
        Variables that direct any AWS SDK to it.
    options
        The executor's options that refer to it.
    log_file
        The emulator's log.
    """

    environment: dict[str, str]
    options: dict[str, str]
    log_file: str


class Background:
    """The stack of one folder.

    Parameters
    ----------
    folder
        Created if it is missing; only its owner may read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.expanduser().absolute()
        self._lock = self._folder / "lock"
        self._pid_file = self._folder / "pid"
        self._ready_file = self._folder / "stack.json"
        self._log = self._folder / "background.log"

    def find(self) -> BackgroundStack | None:
        """Return the stack, if one is running."""
        if not self._runs():
            return None
        try:
            return BackgroundStack(**json.loads(self._ready_file.read_text()))
        except FileNotFoundError:
            return None

    def up(self, report: Callable[[str], None], *, port: int = 0) -> BackgroundStack:
        """Start the stack unless it is running, and return it when it is ready.

        Parameters
        ----------
        report
            Called with one line on each step that takes time.
        port
            Port to listen on; 0 for a free one, or that of a running stack.

        Raises
        ------
        LocalStackError
            It did not start (the message has the end of its log), it runs on a different port, or
            nothing can be written to the folder.
        """
        found = self.find()
        if found:
            there = found.options["endpoint_url"]
            if port and not there.endswith(f":{port}"):
                raise LocalStackError(
                    f"The local stack is already running on {there}, not on port {port}.",
                    hint="Stop it first: covalent-lambda local down",
                )
            return found
        with self._new_log() as log:
            process = subprocess.Popen(
                [sys.executable, "-m", __spec__.name, str(self._folder), str(port)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                cwd=self._folder,
                # Neither Ctrl-C nor the end of the terminal reaches it.
                start_new_session=True,
            )
        ours = False
        try:
            found = self._wait(process, report)
            ours = self._pid() == process.pid
            return found
        finally:
            if not ours:
                # It did not start; or somebody else was faster, and it waits for the lock.
                process.terminate()
                process.wait(_STOP_TIMEOUT_S)

    def down(self) -> bool:
        """Stop the stack and remove its files; return whether there was one.

        Raises
        ------
        LocalStackError
            It did not stop in time.
        """
        was_there = self._runs()
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self._runs():
            pid = self._pid()
            if pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            if time.monotonic() > deadline:
                raise LocalStackError(
                    f"The local stack in {self._folder} did not stop within "
                    f"{_STOP_TIMEOUT_S:.0f} s. The end of its log:\n{log_tail(self._log)}"
                )
            time.sleep(_LOOK_INTERVAL_S)
        self._remove_files()
        return was_there

    def _new_log(self) -> IO[bytes]:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            return self._log.open("wb")
        except OSError as exc:
            raise LocalStackError(
                f"The local stack's folder {self._folder} cannot be written to: {exc.strerror}.",
                hint="Choose another one: --folder",
            ) from exc

    def run(self, port: int) -> None:
        """Run the stack in this process, on a port, until SIGTERM."""
        signal.signal(signal.SIGTERM, _interrupt)
        with (
            contextlib.suppress(KeyboardInterrupt, Timeout),
            FileLock(self._lock, timeout=_LOCK_PATIENCE_S),
        ):
            try:
                self._pid_file.write_text(str(os.getpid()))
                self._ready_file.unlink(missing_ok=True)
                self._serve(port)
            finally:
                self._ready_file.unlink(missing_ok=True)
                self._pid_file.unlink(missing_ok=True)

    def _serve(self, port: int) -> None:
        with docker_engine(print), contextlib.closing(connect()) as client:
            version = ".".join(platform.python_version_tuple()[:2])
            root_image = ensure_root_image(client, version, print)
            registry = ""
            try:
                with local_stack(self._folder / "stack", print, port=port) as stack:
                    registry = stack.endpoint_url.partition("//")[2]
                    self._tell_ready(stack, root_image)
                    while True:
                        signal.pause()
            finally:
                # The containers that used them have been removed.
                if registry:
                    _remove_images(client, registry)

    def _tell_ready(self, stack: LocalStack, root_image: str) -> None:
        running = BackgroundStack(
            environment=stack.environment,
            options=stack.executor_options(root_image),
            log_file=str(stack.log_file),
        )
        # Written atomically.
        draft = self._ready_file.with_suffix(".new")
        draft.write_text(json.dumps(asdict(running)))
        draft.replace(self._ready_file)

    def _wait(self, process: Any, report: Callable[[str], None]) -> BackgroundStack:
        deadline = time.monotonic() + _START_TIMEOUT_S
        with self._log.open(errors="replace") as log:
            while True:
                ended = process.poll() is not None
                for line in log:
                    report(line.rstrip("\n"))
                found = self.find()
                if found:
                    return found
                # A faster process holds the lock: its stack is used.
                if (ended and not self._runs()) or time.monotonic() > deadline:
                    raise LocalStackError(
                        f"The local stack did not start. The end of its log:\n{log_tail(self._log)}"
                    )
                time.sleep(_LOOK_INTERVAL_S)

    def _runs(self) -> bool:
        if not self._lock.exists():
            return False
        try:
            with FileLock(self._lock, timeout=0):
                return False
        except Timeout:
            return True

    def _pid(self) -> int | None:
        """Return the id of the process that runs the stack, once it is known."""
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _remove_files(self) -> None:
        shutil.rmtree(self._folder / "stack", ignore_errors=True)
        for path in (self._ready_file, self._pid_file, self._log, self._lock):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._folder.rmdir()


def _remove_images(client: docker.DockerClient, registry: str) -> None:
    """Remove pushed images: their names contain a port that has no meaning afterwards."""
    names = [tag for image in client.api.images() for tag in image["RepoTags"] or []]
    for name in names:
        if name.startswith(f"{registry}/"):
            # Its layers remain in Docker's cache. Other users of the image keep it.
            with contextlib.suppress(docker.errors.DockerException):
                client.images.remove(name, noprune=True)


def _environment() -> dict[str, str]:
    """Return the stack's environment, without a shell's variables for an earlier stack."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return inherited | {"PYTHONPATH": python_path(), "PYTHONUNBUFFERED": "1"}


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    # Only once: stopping the stack must not be interrupted.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    try:
        Background(Path(sys.argv[1])).run(int(sys.argv[2]))
    except LambdaContainerError as error:
        sys.exit(str(error))
