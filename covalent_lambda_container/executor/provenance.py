"""A result's header, reduced to statements about its origin that the dispatcher can verify."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from covalent_lambda_container.covalent_api.transport import (
    MADE_BY,
    MADE_IN,
    REQUIRES,
    without_origin,
)
from covalent_lambda_container.errors import RegistryError
from covalent_lambda_container.executor.values import without_local_version

log = logging.getLogger(__name__)


def verified(
    header: dict[str, Any], installed: Callable[[], frozenset[str]], made_in: str, node: str
) -> dict[str, Any]:
    """Return a result's header with only those requirements that its image contains.

    A task, or a package in its image, can write anything there, and tasks that receive the value
    get it installed: any package, from any URL, built on this machine.

    Parameters
    ----------
    header
        The result's header.
    installed
        Returns the pins of its image's packages; called only if there are requirements.
    made_in
        Tag of the image.
    node
        The node that produced the result, for messages.
    """
    required = header.get(REQUIRES)
    header = without_origin(header) | {MADE_IN: made_in, MADE_BY: node}
    if not required:
        return header
    try:
        pins = installed()
    except RegistryError as exc:
        log.warning(
            "The packages in image %s are not known, so a result made there does not require "
            "any: %s",
            made_in,
            exc,
        )
        pins = frozenset()
    # Images of earlier releases leave out local versions.
    known = pins | set(map(without_local_version, pins))
    refused = [text for text in required if text not in known]
    if refused and pins:
        log.warning(
            "A result made in image %s requires %d packages that were not installed there, such as "
            "%r; they are ignored.",
            made_in,
            len(refused),
            refused[0],
        )
    return header | {REQUIRES: [text for text in required if text in known]}
