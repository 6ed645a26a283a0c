"""Task packing, Covalent's option ``sdk.task_packing``, for electrons on this executor.

Covalent puts the small nodes that it adds to a graph into one task group with their electron, and
fails such groups on executors that run one task at a time.
"""

from __future__ import annotations

import functools
from typing import Any, Final

from covalent._workflow.transport import _TransportGraph

from covalent_lambda_container.model.names import SHORT_NAME

_COLLECTIONS: Final = ("_auto_list_node", "_auto_dict_node")


def keep_apart(graph: Any = _TransportGraph) -> None:
    """Make a class of graphs, Covalent's own, put each node of this executor into its own group.

    The same holds for lists and dictionaries of outputs, whose executor is not known yet.
    """
    add = graph.add_node
    if hasattr(add, "__wrapped__"):
        return

    @functools.wraps(add)
    def add_node(
        self: Any,
        name: str,
        function: Any,
        metadata: Any,
        task_group_id: int | None = None,
        **attributes: Any,
    ) -> Any:
        # Those of a lattice's result may be reassigned to this executor.
        if metadata.get("executor") == SHORT_NAME or name in _COLLECTIONS:
            task_group_id = None
        return add(self, name, function, metadata, task_group_id, **attributes)

    graph.add_node = add_node
