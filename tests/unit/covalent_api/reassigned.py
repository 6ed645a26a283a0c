"""Prints who post-processes some lattices, after this executor was given what it may have.

Run by test_post_processing.py with folders of its own: it writes to Covalent's database.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import covalent as ct
from covalent._dispatcher_plugins.local import LocalDispatcher
from covalent_dispatcher._core import data_manager
from covalent_dispatcher._core.data_modules.importer import import_manifest
from covalent_dispatcher._dal.result import get_result_object
from covalent_dispatcher._db.datastore import workflow_db

from covalent_lambda_container.covalent_api.post_processing import reassign

EXECUTOR = {"type": "", "short_name": "awslambda_container", "attributes": {"memory_size": 768}}


@ct.electron(executor="local")
def electron() -> int:
    return 5


def post_processed_by(folder: Path, returned: Any, **options: Any) -> Any:
    lattice = ct.lattice(lambda: returned(electron()), **options)
    lattice.build_graph()
    folder.mkdir()
    manifest = LocalDispatcher.prepare_manifest(lattice, str(folder))

    async def register() -> str:
        found = await import_manifest(manifest, None, None)
        dispatch_id = str(found.metadata.dispatch_id)
        await reassign(dispatch_id, lambda: EXECUTOR)
        return dispatch_id

    graph = get_result_object(asyncio.run(register()), bare=False).lattice.transport_graph
    nodes = [graph.get_node(number) for number in graph._graph.nodes]
    seen = {}
    for node in nodes:
        seen[str(node.get_value("name")).partition("(")[0]] = [
            node.get_value("executor"),
            node.get_value("executor_data").get("attributes", {}).get("memory_size"),
        ]
    return {name: who for name, who in seen.items() if not name.startswith(":parameter:")}


assert data_manager
workflow_db.run_migrations(logging_enabled=False)
base = Path(sys.argv[1])
found = {
    "output": post_processed_by(base / "1", lambda x: x, workflow_executor="local"),
    "list": post_processed_by(base / "2", lambda x: [x], workflow_executor="dask"),
    "value": post_processed_by(base / "3", lambda _: 5, workflow_executor="local"),
    "other": post_processed_by(base / "4", lambda x: x, workflow_executor="remote_executor"),
}
sys.stdout.write("\n" + json.dumps(found) + "\n")
