"""The result of a lattice, put together without opening the results of its electrons.

Covalent ends each dispatch with a node that replaces, in what the lattice's function returned,
every electron by its result. It runs on the ``workflow_executor``, by default on Covalent's server,
which has none of the electrons' packages and would unpickle what tasks have made. Where the lattice
returns an output, or lists and dictionaries of outputs, the node's first argument is the result
already.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from covalent._shared_files.defaults import (
    electron_dict_prefix,
    electron_list_prefix,
    parameter_prefix,
    postprocess_prefix,
)
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.hooks import is_bash, is_pip
from covalent_lambda_container.covalent_api.long_values import mentions, references_of
from covalent_lambda_container.covalent_api.node_updates import in_dispatcher
from covalent_lambda_container.model.names import SHORT_NAME

log = logging.getLogger(__name__)

_FUNCTION: Final = "_postprocess_recursively"
_CLASS: Final = ("covalent._workflow.postprocessing", "Postprocessor")
_NODE: Final = f"{postprocess_prefix}reconstruct"
_COLLECTIONS: Final = (electron_list_prefix, electron_dict_prefix)
_OWN_EXECUTORS: Final = ("local", "dask")
"""Executors of the server itself; one of them is Covalent's default."""

_REMEMBERED: Final = 10_000
_reassigned: OrderedDict[str, None] = OrderedDict()
"""Dispatches whose post-processing was looked at."""


def lattice_result(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> TransportableObject | None:
    """Return the result of a post-processing node; None for one that must run, and for any other.

    It must run where the lattice returns electrons inside of anything else than lists and
    dictionaries: Covalent sends those as a value that has the electrons themselves.
    """
    if not isinstance(function, partial) or len(function.args) != 3 or len(args) != 1:
        return None
    node, call_before, call_after = function.args
    if not is_post_processing(node) or not all(key.startswith("node:") for key in kwargs):
        return None
    if not all(is_pip(hook) or is_bash(hook) for hook in (*call_before, *call_after)):
        return None
    result: TransportableObject = args[0]
    if mentions(result, b"covalent") and references_of(result).package("covalent"):
        return None
    return result


def is_post_processing(node: TransportableObject) -> bool:
    """Return whether a function is the one of Covalent's that puts a lattice's result together."""
    return node.attrs.get("name") == _FUNCTION and _CLASS in references_of(node).names


async def reassign(dispatch_id: str, executor_data: Callable[[], Mapping[str, Any]]) -> None:
    """Give a dispatch's post-processing to this executor, where it need not open anything.

    The lists and dictionaries of outputs that Covalent collects for it go along.

    Once for each dispatch, in a thread, and only in place of Covalent's own executors ``local`` and
    ``dask``. Outside a dispatcher, and where Covalent's database is not as expected, it does
    nothing.

    Parameters
    ----------
    dispatch_id
        The dispatch.
    executor_data
        Returns an executor as Covalent stores it: ``{"type", "short_name", "attributes"}``.
    """
    if dispatch_id in _reassigned or not in_dispatcher():
        return
    _reassigned[dispatch_id] = None
    if len(_reassigned) > _REMEMBERED:
        _reassigned.popitem(last=False)
    stored = json.dumps(executor_data())
    try:
        await asyncio.get_running_loop().run_in_executor(None, _reassign, dispatch_id, stored)
    except Exception:
        log.debug("Post-processing of %s stays where it is.", dispatch_id, exc_info=True)


def _reassign(dispatch_id: str, executor_data: str) -> None:
    from covalent_dispatcher._dal.result import get_result_object
    from covalent_dispatcher._db import models
    from sqlalchemy import and_, or_, select, update

    node, edge = models.Electron, models.ElectronDependency
    lattice = select(models.Lattice.id).where(models.Lattice.dispatch_id == dispatch_id)
    parameters = select(node.id).where(
        node.parent_lattice_id.in_(lattice), node.name.startswith(parameter_prefix, autoescape=True)
    )
    given_a_value = select(edge.electron_id).where(
        edge.parameter_type == "arg", edge.parent_electron_id.in_(parameters)
    )
    with get_result_object(dispatch_id, bare=True).session() as session:
        session.execute(
            update(node)
            .where(
                node.parent_lattice_id.in_(lattice),
                # Lists and dictionaries that the lattice returns are on the workflow's executor.
                or_(
                    and_(node.name == _NODE, node.id.not_in(given_a_value)),
                    node.name.in_(_COLLECTIONS),
                ),
                node.executor.in_(_OWN_EXECUTORS),
            )
            .values(executor=SHORT_NAME, executor_data=executor_data)
            .execution_options(synchronize_session=False)
        )
