"""The folder in which Covalent's web page looks for a node's output.

Covalent 0.240 writes a node's output to ``RESULTS/DISPATCH/node_N/stdout.log``, and its web page
reads ``RESULTS/stdout.log``: it finds nothing, for any executor. The folder that the page reads is
a column of the node's record, which nothing else uses.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from typing import Final

from covalent_lambda_container.covalent_api.node_updates import in_dispatcher
from covalent_lambda_container.model.names import SHORT_NAME

log = logging.getLogger(__name__)

_REMEMBERED: Final = 10_000
_corrected: OrderedDict[str, None] = OrderedDict()
"""Dispatches whose nodes have been examined."""


def let_page_find_output(dispatch_id: str) -> None:
    """Make Covalent's web page show the output of a dispatch's nodes on this executor.

    Runs once for each dispatch, in the background. Does nothing outside a dispatcher, or if
    Covalent's database is not as expected.
    """
    if dispatch_id in _corrected or not in_dispatcher():
        return
    _corrected[dispatch_id] = None
    if len(_corrected) > _REMEMBERED:
        _corrected.popitem(last=False)
    threading.Thread(target=_correct, args=(dispatch_id,), daemon=True).start()


def _correct(dispatch_id: str) -> None:
    try:
        _write_folders(dispatch_id)
    except Exception:
        log.debug("Output of dispatch %s is not shown in the page.", dispatch_id, exc_info=True)


def _write_folders(dispatch_id: str) -> None:
    from covalent_dispatcher._dal.result import get_result_object
    from covalent_dispatcher._db import models
    from covalent_dispatcher._object_store.local import local_store
    from sqlalchemy import String, cast, select, update

    base = local_store.base_path
    folder, key = local_store.get_uri_components(dispatch_id, 0, "stdout")
    if folder != base or key.rpartition("/")[0] != f"{dispatch_id}/node_0":
        return
    node = models.Electron
    lattice = select(models.Lattice.id).where(models.Lattice.dispatch_id == dispatch_id)
    with get_result_object(dispatch_id, bare=True).session() as session:
        session.execute(
            update(node)
            .where(
                node.parent_lattice_id.in_(lattice),
                node.executor == SHORT_NAME,
                # A later version of Covalent may store what its page reads.
                node.storage_path == base,
            )
            .values(
                storage_path=f"{base}/{dispatch_id}/node_"
                + cast(node.transport_graph_node_id, String)
            )
            .execution_options(synchronize_session=False)
        )
