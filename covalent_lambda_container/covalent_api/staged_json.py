"""JSON in the archive that a sublattice's node returns, read as Covalent's server reads it.

One call of a parser or validator in C holds the interpreter's lock until it ends: here, none sees
more than one object.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from covalent._shared_files.schemas.edge import EdgeSchema
from covalent._shared_files.schemas.electron import ElectronSchema
from covalent._shared_files.schemas.result import ResultSchema

from covalent_lambda_container.covalent_api.staged_files import refused

_MOST_VALUES: Final = 500_000
"""Most values in one file. A manifest has some forty for each node, a hook is a long text."""


def parsed(name: str, content: bytes) -> Any:
    """Return the value of a file with JSON.

    Parameters
    ----------
    name, content
        The file.

    Raises
    ------
    InvocationError
        It has too many values, or an object has a key twice: parsers differ in which one counts.
    ValueError
        It is not JSON.
    """
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > _MOST_VALUES:
        raise refused(f"its {name[:80]!r} has more than {_MOST_VALUES} values")

    def made(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        # The call itself lets other threads have the lock.
        value = dict(pairs)
        if len(value) < len(pairs):
            raise refused(f"its {name[:80]!r} has an object with a key twice")
        return value

    return json.loads(content, object_pairs_hook=made)


def manifest_of(name: str, content: bytes) -> dict[str, Any]:
    """Return a sublattice's manifest with all fields of Covalent's schema, and no others.

    Parameters
    ----------
    name, content
        The file.

    Raises
    ------
    InvocationError
        See `parsed`.
    ValueError, LookupError, TypeError
        It is not a manifest.
    """
    given = parsed(name, content)
    graph = given["lattice"]["transport_graph"]
    given["lattice"]["transport_graph"] = graph | {"nodes": [], "links": []}
    manifest = _read(ResultSchema, given)
    manifest["lattice"]["transport_graph"] |= {
        "nodes": _read_all(ElectronSchema, graph["nodes"]),
        "links": _read_all(EdgeSchema, graph["links"]),
    }
    return manifest


def _read_all(schema: Any, values: Iterable[Any]) -> list[dict[str, Any]]:
    return [_read(schema, value) for value in values]


def _read(schema: Any, value: Any) -> dict[str, Any]:
    fields: dict[str, Any] = schema.model_validate(value).model_dump(mode="json")
    return fields
