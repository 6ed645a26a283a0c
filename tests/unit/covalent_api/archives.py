"""A sublattice's archive, as its node returns it, and changes of it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from importlib import metadata
from typing import Any

import covalent as ct
from covalent._workflow.electron import _build_sublattice_graph

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.covalent_api.sublattices import SublatticeLimits, limits_of

X: Any = AWSLambdaContainerExecutor(memory_size=768)  # type: ignore[no-untyped-call]
SMALLER: Any = AWSLambdaContainerExecutor(memory_size=256, environment={"MODE": "b"})  # type: ignore[no-untyped-call]


def sublattices() -> dict[str, Any]:
    """Return two sublattices whose functions are sent by value, as a script's are."""

    @ct.electron(
        executor=SMALLER, deps_pip=ct.DepsPip(["six"]), call_before=[ct.DepsCall(len, ["x"])]
    )
    def first(x: int) -> int:
        return x

    @ct.electron
    def second(x: Any) -> Any:
        return x

    @ct.electron
    @ct.lattice
    def sub(a: int) -> Any:
        return second([first(a), a])

    @ct.electron
    @ct.lattice(executor="local")
    def sub_local(a: int) -> Any:
        return second(a)

    @ct.electron
    @ct.lattice
    def outer(a: int) -> Any:
        return sub(first(a))

    return {"sub": sub, "sub_local": sub_local, "outer": outer}


def built(
    name: str = "sub", allowed: tuple[str, ...] = (), workflow_executor: Any = X
) -> tuple[str, SublatticeLimits]:
    """Return what a sublattice's node returns, and what it may use."""
    sublattice = sublattices()[name]

    @ct.lattice(executor=X, workflow_executor=workflow_executor, deps_pip=ct.DepsPip(["numpy"]))
    def workflow(a: int) -> Any:
        return sublattice(a)

    workflow.build_graph(3)
    graph = workflow.transport_graph._graph
    values = [graph.nodes[node].get("value") for node in graph.nodes]
    args = [value for value in values if value is not None][:2]
    loaded = [arg.get_deserialized() for arg in args]
    archive = _build_sublattice_graph(*loaded, 3)
    # A lattice contains a graph of networkx.
    pins = frozenset({"numpy==2.1.0", f"networkx=={metadata.version('networkx')}"})
    return archive, limits_of(args, vars(X), allowed, image="0a", pins=pins)


def changed(archive: str, change: Callable[[dict[str, bytes], Any], object]) -> str:
    """Return an archive whose files and manifest were changed."""
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive))) as opened:
        names = [member.name for member in opened.getmembers() if member.isfile()]
        files = {name: opened.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    (path,) = [name for name in files if name.endswith("manifest.json")]
    manifest = json.loads(files[path])
    change(files, manifest)
    files[path] = json.dumps(manifest).encode()
    return packed(files)


def packed(files: dict[str, bytes], *others: tarfile.TarInfo) -> str:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in others:
            archive.addfile(member)
    return base64.b64encode(target.getvalue()).decode()


def nodes(manifest: Any) -> Any:
    return manifest["lattice"]["transport_graph"]["nodes"]
