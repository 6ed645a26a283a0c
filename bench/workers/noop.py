"""A Covalent executor plugin that does nothing: copied into a server's plugin folder.

It returns what the electron would, without looking at it, at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from covalent._workflow.transport import TransportableObject
from covalent.executor.base import AsyncBaseExecutor

EXECUTOR_PLUGIN_NAME = "NoopExecutor"
_EXECUTOR_PLUGIN_DEFAULTS: dict[str, Any] = {}
_NOTHING = TransportableObject(None)


class NoopExecutor(AsyncBaseExecutor):  # type: ignore[misc] # Covalent is untyped
    """Runs nothing."""

    async def run(
        self,
        function: Callable[..., Any],  # noqa: ARG002
        args: list[Any],  # noqa: ARG002
        kwargs: dict[str, Any],  # noqa: ARG002
        task_metadata: dict[str, Any],  # noqa: ARG002
    ) -> Any:
        """Return None, as a TransportableObject."""
        return _NOTHING
