"""A Covalent server of one's own, whose state is in one folder and whose end is certain."""

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

#: A first start writes the database and compiles Covalent's modules.
_START_TIMEOUT_S: Final = 120.0
_STOP_GRACE_S: Final = 10.0


@dataclass(frozen=True, kw_only=True)
class CovalentServer:
    """Where the server is.

    Attributes
    ----------
    address
        ``http://localhost:PORT``, of dispatcher and user interface.
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

    It listens on a free port of the loopback address. At the end the server and all that it
    started are gone; its database, results and log stay in ``state_dir``, and a later server in
    the same folder goes on with them.

    Parameters
    ----------
    state_dir
        Takes configuration, database, results and log; made if it is absent.
    environment
        Variables for the server in addition to this process's: where AWS is, for one.
    report
        Takes one line on each step that takes time.
    executors
        Defaults of executors by their short names, for the configuration that server and clients
        share.

    Raises
    ------
    LocalStackError
        Covalent's server is not installed, or did not start.
    """
    if any(importlib.util.find_spec(name) is None for name in ("covalent_ui", "uvicorn")):
        raise LocalStackError(
            "Covalent is installed without its server.",
            hint="Install the whole of it: pip install covalent",
        )
    state_dir = state_dir.absolute()
    state_dir.mkdir(parents=True, exist_ok=True)
    log_file = state_dir / "covalent.log"
    port = free_port()
    client = _client_environment(state_dir, port)
    # A new file each time: its values, such as an earlier server's port, win over the environment.
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
                # `python -m` looks there first for modules: not in the user's folder.
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
    # The user's own Covalent must not show through: its database URL, its address, its port.
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVALENT_")}
    # Every variable that says where Covalent keeps what it writes.
    folders = {
        "COVALENT_CACHE_DIR": "cache",
        "COVALENT_CONFIG_DIR": "config",
        "COVALENT_DATA_DIR": "data",
        "COVALENT_DISPATCH_CACHE_DIR": "dispatches",
        "COVALENT_EXECUTOR_DIR": "executor_plugins",
        "COVALENT_LOGDIR": "log",
        "COVALENT_RESULTS_DIR": "results",
        # Not Covalent's: what it imports writes to the first at once, and its local executor, which
        # takes no other name, to the second. HOME stays, for pip's and Docker's settings.
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
        # Without Dask the default executor is the local one, for clients too.
        "COVALENT_DISABLE_DASK": "1",
        "COVALENT_DISPATCHER_ADDR": "localhost",
        "COVALENT_HEARTBEAT_FILE": str(state_dir / "cache" / "heartbeat"),
        "COVALENT_SVC_PORT": str(port),
        "PYTHONPATH": python_path(),
    }
