"""Starts MiniStack's containers as Lambda starts them: guarded, and without shared memory."""

from __future__ import annotations

import secrets
import urllib.request
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final

from ministack.services import lambda_svc  # type: ignore[import-untyped]

from covalent_lambda_container.local import guard

_GUARD: Final = Path(guard.__file__)
_key: Final[ContextVar[str]] = ContextVar("key", default="")
"""Key of the container that this thread invokes."""


def remove_shared_memory() -> None:
    """Start functions' containers without /dev/shm, as Lambda does.

    MiniStack reads the settings of containers from a line of Docker's flags, and does not support
    ``--ipc none``.
    """
    original = lambda_svc._parse_docker_flags

    def parse(flags: str) -> dict[str, Any]:
        return {**original(flags), "ipc_mode": "none"}

    lambda_svc._parse_docker_flags = parse


def guard_containers() -> None:
    """Start functions' containers behind a guard, and send them its key: see `guard`."""
    connect, invoke = lambda_svc._get_docker_client, lambda_svc._invoke_rie

    def guarded_client() -> Any:
        client = connect()
        return None if client is None else _Client(client)

    def invoke_with_key(container: Any, *arguments: Any) -> Any:
        variables = dict(each.partition("=")[::2] for each in container.attrs["Config"]["Env"])
        token = _key.set(variables.get(guard.KEY_VARIABLE, ""))
        try:
            return invoke(container, *arguments)
        finally:
            _key.reset(token)

    urllib.request.install_opener(urllib.request.build_opener(_SendsKey))
    lambda_svc._get_docker_client = guarded_client
    lambda_svc._invoke_rie = invoke_with_key


class _SendsKey(urllib.request.BaseHandler):
    """Adds the key of the container that is being invoked to requests."""

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        if key := _key.get():
            request.add_unredirected_header(guard.KEY_HEADER, key)
        return request


class _Client:
    """A Docker client whose containers have a guard."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.containers = _Containers(client)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)


class _Containers:
    """The containers of a Docker client; new ones have a guard."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client.containers, name)

    def run(self, *, image: str, **settings: Any) -> Any:
        """Start a container with a guard in front of its own entry point."""
        own = self._client.images.get(image).attrs["Config"]
        entrypoint = settings.get("entrypoint") or own.get("Entrypoint") or []
        command = settings.get("command") or own.get("Cmd") or []
        guarded = {
            **settings,
            "entrypoint": ["python3", "-I", "-S", "-c", _GUARD.read_text("utf-8")],
            "command": [*entrypoint, *command],
            "environment": {
                **settings.get("environment", {}),
                guard.KEY_VARIABLE: secrets.token_hex(20),
            },
        }
        return self._client.containers.run(image, **guarded)
