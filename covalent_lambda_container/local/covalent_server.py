"""A separate Covalent server, with its state in one folder, that is certain to end."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import toml

from covalent_lambda_container.errors import LocalStackError
from covalent_lambda_container.local.child_process import (
    answers_http,
    child_process,
    free_port,
    python_path,
    unproxied,
    wait_until,
)

#: The first start writes the database and compiles Covalent's modules.
_START_TIMEOUT_S: Final = 120.0
_STOP_GRACE_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class CovalentServer:
    """The address and environment of a server.

    Attributes
    ----------
    address
        ``http://localhost:PORT``, for dispatcher and user interface.
    environment
        The whole environment of a client process: with it, Covalent dispatches to this server and
        leaves the user's own configuration alone.
    log_file
        The server's log.
    """

    address: str
    environment: Mapping[str, str]
    log_file: Path


@contextmanager
def covalent_server(
    state_dir: Path,
    environment: Mapping[str, str],
    report: Callable[[str], None],
    *,
    executors: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[CovalentServer]:
    """Run a Covalent server without a Dask cluster while the context is open.

    It listens on a free port of the loopback address. At the end, the server and everything that it
    started are stopped; its database, results and log remain in ``state_dir``, and a later server
    in the same folder continues with them.

    Parameters
    ----------
    state_dir
        Folder for configuration, database, results and log; created if missing.
    environment
        Variables for the server in addition to this process's, such as AWS's endpoint.
    report
        Called with one line on each step that takes time.
    executors
        Defaults of executors by short name, for the configuration shared by server and clients.

    Raises
    ------
    LocalStackError
        Covalent's server is not installed, or did not start.
    """
    if any(importlib.util.find_spec(name) is None for name in ("covalent_ui", "uvicorn")):
        raise LocalStackError(
            "Covalent is installed without its server.",
            hint="Install all of Covalent: pip install covalent",
        )
    state_dir = state_dir.absolute()
    state_dir.mkdir(parents=True, exist_ok=True)
    log_file = state_dir / "covalent.log"
    port = free_port()
    client = _client_environment(state_dir, port)
    # A new file each time: its values, such as an earlier server's port, override the environment.
    config_file = Path(client["COVALENT_CONFIG_DIR"]) / "covalent.conf"
    config_file.write_text(toml.dumps({"executors": executors or {}}))

    report(f"Starting Covalent on http://localhost:{port}")
    with ExitStack() as cleanup:
        # Not below `state_dir`: sockets of multiprocessing's fork server must have short paths.
        temporary = cleanup.enter_context(tempfile.TemporaryDirectory(prefix="covalent-"))
        process = cleanup.enter_context(
            child_process(
                [sys.executable, "-m", "covalent_lambda_container.local.covalent_main", str(port)],
                environment={**client, **environment, "TMPDIR": temporary},
                log_file=log_file,
                # `python -m` imports modules from there first: not from the user's folder.
                working_directory=Path(temporary),
                grace_s=_STOP_GRACE_S,
            )
        )
        wait_until(
            lambda: answers_http(port, "/"),
            process,
            name="Covalent",
            log_file=log_file,
            timeout_s=_START_TIMEOUT_S,
        )
        yield CovalentServer(
            address=f"http://localhost:{port}", environment=client, log_file=log_file
        )
        report("Stopping Covalent")


def _client_environment(state_dir: Path, port: int) -> dict[str, str]:
    # The user's own Covalent must not have an effect: its database URL, its address, its port.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVALENT_")}
    # All variables for the folders that Covalent writes to.
    folders = {
        "COVALENT_CACHE_DIR": "cache",
        "COVALENT_CONFIG_DIR": "config",
        "COVALENT_DATA_DIR": "data",
        "COVALENT_DISPATCH_CACHE_DIR": "dispatches",
        "COVALENT_EXECUTOR_DIR": "executor_plugins",
        "COVALENT_LOGDIR": "log",
        "COVALENT_RESULTS_DIR": "results",
        # Not Covalent's: modules that it imports write to the first at once, and its local
        # executor always to the second. HOME is kept for pip's and Docker's settings.
        "DASK_CONFIG": "dask",
        "XDG_CACHE_HOME": "cache",
    }
    for folder in folders.values():
        (state_dir / folder).mkdir(exist_ok=True)
    return {
        **inherited,
        **unproxied(),
        **{name: str(state_dir / folder) for name, folder in folders.items()},
        "COVALENT_DATABASE": str(state_dir / "covalent.sqlite"),
        # Without Dask, the default executor is the local one, also for clients.
        "COVALENT_DISABLE_DASK": "1",
        "COVALENT_DISPATCHER_ADDR": "localhost",
        "COVALENT_HEARTBEAT_FILE": str(state_dir / "cache" / "heartbeat"),
        "COVALENT_SVC_PORT": str(port),
        "PYTHONPATH": python_path(),
    }
