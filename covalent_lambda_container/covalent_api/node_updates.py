"""Updates of a node that the dispatcher keeps while it runs."""

from __future__ import annotations

import logging
import sys

log = logging.getLogger(__name__)


def in_dispatcher() -> bool:
    """Return whether this process is Covalent's dispatcher, where executors can update nodes."""
    return "covalent_dispatcher._core.data_manager" in sys.modules


async def record_error(dispatch_id: str, node_id: int, message: str) -> bool:
    """Give a failed node its error message; return whether it has it.

    Covalent keeps a node's output streams only when the executor raises TaskRuntimeError, and
    keeps an error message only when it raises anything else. This writes the message through the
    dispatcher's own update call, so that a failed task has both. Outside a dispatcher it does
    nothing.
    """
    if not in_dispatcher():
        return False
    from covalent_dispatcher._core import data_manager

    update = data_manager.generate_node_result(node_id=node_id, error=message)
    try:
        await data_manager.update_node_result(dispatch_id, update)
    except Exception:
        log.warning("The error of node %s could not be stored.", node_id, exc_info=True)
        return False
    return True


async def show_output(dispatch_id: str, node_id: int, stdout: str, stderr: str) -> None:
    """Replace what a node shows as its output.

    Covalent replaces it again when the task has ended. Outside a dispatcher it does nothing.
    """
    if not in_dispatcher():
        return
    from covalent_dispatcher._core import data_manager

    update = data_manager.generate_node_result(node_id=node_id, stdout=stdout, stderr=stderr)
    await data_manager.update_node_result(dispatch_id, update)
