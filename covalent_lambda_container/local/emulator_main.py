"""MiniStack behind its gateway: ``python -m covalent_lambda_container.local.emulator_main``.

    emulator_main CONTAINER_LABEL DESCRIPTOR [DESCRIPTOR ...]

Serves the sockets with these file descriptors until SIGTERM, then removes the containers with the
label. `ministack` itself binds a single address, and leaves containers if a function is running or
starting when it stops: the server waits for the invocation, and the invocation for the container.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Any, cast

from hypercorn.asyncio import serve
from hypercorn.config import Config

from covalent_lambda_container.adapters.docker.connection import connect
from covalent_lambda_container.adapters.docker.failures import ENGINE_ERRORS
from covalent_lambda_container.local.container_starts import ContainerStarts
from covalent_lambda_container.local.containers import remove_containers
from covalent_lambda_container.local.gateway import app

#: As in `ministack`: more than the 60 s for which most clients keep a connection.
_KEEP_ALIVE_S = 75
_STARTS_TIMEOUT_S = 15.0


def main(container_label: str, descriptors: list[str]) -> None:
    """Serve until SIGTERM."""
    config = Config()
    config.bind = [f"fd://{descriptor}" for descriptor in descriptors]
    config.keep_alive_timeout = _KEEP_ALIVE_S
    starts = ContainerStarts()
    starts.install()

    def end() -> None:
        starts.close(_STARTS_TIMEOUT_S)
        _remove_containers(container_label)

    async def terminated() -> None:
        signalled = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, signalled.set)
        await signalled.wait()
        await asyncio.to_thread(end)

    async def serve_and_exit() -> None:
        # Hypercorn's types name every ASGI message; the gateway passes them on unread.
        await serve(cast("Any", app), config, shutdown_trigger=terminated)
        # Threads of MiniStack still wait for answers from removed containers.
        sys.stdout.flush()
        os._exit(0)

    asyncio.run(serve_and_exit())


def _remove_containers(label: str) -> None:
    with (
        contextlib.suppress(*ENGINE_ERRORS),
        contextlib.closing(connect()) as client,
    ):
        remove_containers(client, label=label)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
