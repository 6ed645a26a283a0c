"""A Covalent executor plugin that makes one invocation and nothing else: copied into a server's
plugin folder.

The event and where it goes are in a file beside it: JSON, ``{"url", "event", "region",
"access_key", "secret_key"}``. The answer is read and not looked at.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from covalent._workflow.transport import TransportableObject
from covalent.executor.base import AsyncBaseExecutor
from pyqwest import Client, HTTPTransport, HTTPVersion

EXECUTOR_PLUGIN_NAME = "BareInvocationExecutor"
_EXECUTOR_PLUGIN_DEFAULTS: dict[str, Any] = {}
_NOTHING = TransportableObject(None)
_DESCRIPTION: Final = Path(__file__).with_suffix(".json")


class BareInvocationExecutor(AsyncBaseExecutor):  # type: ignore[misc] # Covalent is untyped
    """Invokes a function with an event that was prepared before."""

    async def run(
        self,
        function: Callable[..., Any],  # noqa: ARG002
        args: list[Any],  # noqa: ARG002
        kwargs: dict[str, Any],  # noqa: ARG002
        task_metadata: dict[str, Any],  # noqa: ARG002
    ) -> Any:
        """Return None, as a TransportableObject, when the invocation has succeeded."""
        known = _known()
        request = AWSRequest(method="POST", url=known["url"], data=known["event"].encode())
        credentials = Credentials(known["access_key"], known["secret_key"])
        SigV4Auth(credentials, "lambda", known["region"]).add_auth(request)
        headers = dict(request.headers)
        answer = await _client().post(known["url"], headers, request.data)
        if answer.status != 200 or "X-Amz-Function-Error" in answer.headers:
            raise RuntimeError(f"The replayed event failed: {answer.content!r}")
        return _NOTHING


@functools.cache
def _known() -> dict[str, str]:
    known: dict[str, str] = json.loads(_DESCRIPTION.read_text("utf-8"))
    return known


@functools.cache
def _client() -> Client:
    transport = HTTPTransport(
        http_version=HTTPVersion.HTTP1, pool_max_idle_per_host=1000, enable_otel=False
    )
    return Client(transport)
