"""A Docker engine: an existing one, or one that runs as long as it is needed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from covalent_lambda_container.adapters.docker.address import EngineAddress, engine_address
from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.adapters.docker.failures import ENGINE_ERRORS
from covalent_lambda_container.errors import LocalStackError
from covalent_lambda_container.local import debian
from covalent_lambda_container.local.child_process import child_process, wait_until
from covalent_lambda_container.local.containers import remove_containers

_PACKAGES: Final = ("docker.io", "iptables")
_SOCKET: Final = Path("/var/run/docker.sock")
_PID_FILE: Final = Path("/var/run/docker.pid")
#: Not always on root's PATH: `dockerd`, and `iptables`, which it calls.
_SYSTEM_PROGRAMS: Final = "/usr/local/sbin:/usr/sbin:/sbin"
_PING_TIMEOUT_S: Final = 10
_START_TIMEOUT_S: Final = 60.0
#: The engine gives its containers 15 s to stop, then stops containerd.
_STOP_GRACE_S: Final = 45.0


@contextmanager
def docker_engine(report: Callable[[str], None]) -> Iterator[None]:
    """Provide a Docker engine while the context is open.

    An engine that answers at ``DOCKER_HOST``, in the current Docker context or at the usual socket
    is used and not changed. Without one, as root on Debian or Ubuntu, an engine is installed if
    necessary and started; at the end it is stopped, and its new containers are removed.

    Parameters
    ----------
    report
        Called with one line on each step that takes time.

    Raises
    ------
    LocalStackError
        No engine answers and none can be started here; the message says what to do.
    """
    if _engine_answers():
        yield
        return
    address = engine_address()
    if address.is_chosen or not debian.can_install():
        raise _no_engine(address)
    if _find_dockerd() is None:
        debian.install(_PACKAGES, report)
        # If there is a service manager, the package has just started the engine as a service.
        if _engine_answers():
            yield
            return
    with _own_engine(report):
        yield


@contextmanager
def _own_engine(report: Callable[[str], None]) -> Iterator[None]:
    dockerd = _find_dockerd()
    if dockerd is None:
        raise LocalStackError(f"There is no dockerd after installing {' and '.join(_PACKAGES)}.")
    _remove_stale_pid_file()
    with tempfile.NamedTemporaryFile(prefix="dockerd-", suffix=".log", delete=False) as file:
        log_file = Path(file.name)
    report("Starting a Docker engine")
    path = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PROGRAMS}"
    started = False
    try:
        with child_process(
            [dockerd],
            environment=os.environ | {"PATH": path},
            log_file=log_file,
            grace_s=_STOP_GRACE_S,
        ) as process:
            wait_until(
                _engine_answers,
                process,
                name="The Docker engine",
                log_file=log_file,
                timeout_s=_START_TIMEOUT_S,
            )
            started = True
            with _no_containers_left():
                yield
            report("Stopping the Docker engine")
    finally:
        _remove_stale_pid_file()
        if started:  # else the error names the log
            log_file.unlink(missing_ok=True)


@contextmanager
def _no_containers_left() -> Iterator[None]:
    # Containers of earlier engines in the same store are not removed.
    with contextlib.closing(connect()) as client:
        before = {str(container.id) for container in client.containers.list(all=True, sparse=True)}
        try:
            yield
        finally:
            remove_containers(client, keep=before)


def _engine_answers() -> bool:
    # A `docker` client on the PATH proves nothing.
    try:
        with contextlib.closing(connect(timeout_s=_PING_TIMEOUT_S)) as client:
            client.ping()
    except ENGINE_ERRORS:
        return False
    return True


def _find_dockerd() -> str | None:
    return shutil.which("dockerd") or shutil.which("dockerd", path=_SYSTEM_PROGRAMS)


def _remove_stale_pid_file() -> None:
    # dockerd refuses to start while the number in it is that of any process.
    try:
        os.kill(int(_PID_FILE.read_text()), 0)
    except (ProcessLookupError, ValueError):
        _PID_FILE.unlink(missing_ok=True)
    except OSError:  # no such file, or a living process of another user
        pass


def _no_engine(address: EngineAddress) -> LocalStackError:
    if address.is_chosen:
        return LocalStackError(
            f"No Docker engine answers at {address}.",
            hint="Start it; or, for the local engine, unset DOCKER_HOST and choose the context "
            "'default'.",
        )
    if _SOCKET.exists() and not os.access(_SOCKET, os.R_OK | os.W_OK):
        return LocalStackError(
            f"This user may not use the Docker engine's socket, {_SOCKET}.",
            hint="Add the user to the group `docker` and log in again, or run this as root.",
        )
    return LocalStackError(
        f"No Docker engine answers at {_SOCKET}.",
        hint=(
            "On Debian or Ubuntu, run this as root, which installs and starts one, or do both "
            f"manually: `apt-get install {' '.join(_PACKAGES)}`, then `systemctl start docker` or "
            "`dockerd`. Elsewhere, install Docker and start it. For an engine elsewhere, set "
            "DOCKER_HOST or a Docker context."
        ),
    )
