"""Lambda's entry point: ``covalent_lambda_runtime.handler.handle``."""

from __future__ import annotations

from typing import Any

from .invocation import Handler

# Created before the first invocation: the template of task processes has seen no event.
_handler = Handler("/tmp")


def handle(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Answer one invocation; see `invocation.Handler.handle`."""
    return _handler.handle(event, context)
