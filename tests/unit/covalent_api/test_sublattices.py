"""A sublattice's archive may use only what the client named."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

import covalent as ct
import pytest
from covalent._workflow.electron import _build_sublattice_graph
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.covalent_api.sublattice_archives import check_archive
from covalent_lambda_container.covalent_api.sublattices import (
    SublatticeLimits,
    builds_sublattice,
    limits_of,
)
from covalent_lambda_container.covalent_api.transport import transportable
from covalent_lambda_container.errors import InvocationError

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

    return {"sub": sub, "sub_local": sub_local}


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
    pins = frozenset({"numpy==2.1.0"})
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


@pytest.mark.parametrize("name", ["sub", "sub_local"])
def test_an_archive_with_the_clients_names_is_accepted(name: str) -> None:
    check_archive(*built(name))


def test_only_the_function_that_builds_graphs_is_meant() -> None:
    assert builds_sublattice(TransportableObject(_build_sublattice_graph))
    assert not builds_sublattice(TransportableObject(len))


def on_local(files: Any, manifest: Any) -> None:
    nodes(manifest)[0]["metadata"] |= {"executor": "local", "executor_data": {}}


def hidden_local(files: Any, manifest: Any) -> None:
    nodes(manifest)[0]["metadata"]["executor_data"] = {"short_name": "local", "attributes": {}}


def workflow_on_local(files: Any, manifest: Any) -> None:
    manifest["lattice"]["metadata"] |= {
        "workflow_executor": "local",
        "workflow_executor_data": {},
    }


def other_options(name: str, value: Any) -> Callable[[Any, Any], None]:
    def change(files: Any, manifest: Any) -> None:
        nodes(manifest)[0]["metadata"]["executor_data"]["attributes"][name] = value

    return change


def server_file(files: Any, manifest: Any) -> None:
    nodes(manifest)[1]["assets"]["value"]["uri"] = "file:///../../../etc/passwd"


def remote(files: Any, manifest: Any) -> None:
    nodes(manifest)[1]["assets"]["value"]["remote_uri"] = "file:///etc/passwd"


def own_hook(files: Any, manifest: Any) -> None:
    path = nodes(manifest)[0]["assets"]["hooks"]["uri"].removeprefix("file:///")
    pickled = TransportableObject([["evil"], ""]).get_serialized()
    hooks = json.loads(files[path])
    hooks["deps"]["pip"]["attributes"]["apply_args"]["attributes"]["_object"] = pickled
    files[path] = json.dumps(hooks).encode()


def own_header(**said: Any) -> Callable[[Any, Any], None]:
    def change(files: Any, manifest: Any) -> None:
        path = nodes(manifest)[1]["assets"]["value"]["uri"].removeprefix("file:///")
        value = TransportableObject(3)
        forged = transportable(value.header | said, "3", value.get_serialized())
        files[path] = forged.serialize()

    return change


def own_dispatch(files: Any, manifest: Any) -> None:
    manifest["metadata"]["dispatch_id"] = "another"


def many_values(files: Any, manifest: Any) -> None:
    manifest["more"] = [[]] * 600_000


FORGED: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "executor": (on_local, "executor 'local'"),
    "executor data": (hidden_local, "executor 'local'"),
    "workflow executor": (workflow_on_local, "executor 'local'"),
    "endpoint": (other_options("endpoint_url", "http://example.com"), "another endpoint_url"),
    "local packages": (other_options("local_packages", ["/etc"]), "another local_packages"),
    "requirements": (other_options("requirements", ["evil"]), "another requirements"),
    "allowance": (other_options("sublattice_executors", ["*"]), "another sublattice_executors"),
    "file of the server": (server_file, "outside the archive"),
    "remote file": (remote, "outside the archive"),
    "hook": (own_hook, "a hook"),
    "requirement": (own_header(requires=["evil==1"]), "'evil==1', which is not in the image"),
    "image": (own_header(image="ff"), "a value of another image"),
    "parts": (own_header(parts=[{"requires": ["evil"]}]), "only a dispatcher may set"),
    "node": (own_header(node="make (node 0)"), "only a dispatcher may set"),
    "dispatch": (own_dispatch, "dispatch of its own"),
    "many values": (many_values, "more than 500000 values"),
    "long header": (own_header(more="x" * 2_000_000), "bytes of JSON"),
}


@pytest.mark.parametrize(("change", "said"), FORGED.values(), ids=FORGED)
def test_a_forged_archive_is_refused(change: Any, said: str) -> None:
    archive, limits = built()
    with pytest.raises(InvocationError, match=said):
        check_archive(changed(archive, change), limits)


def test_a_value_may_require_packages_of_the_image_that_built_the_graph() -> None:
    archive, limits = built()
    check_archive(changed(archive, own_header(requires=["numpy==2.1.0"], image="0a")), limits)


def test_the_executor_of_post_processing_is_for_nothing_else() -> None:
    archive, limits = built(workflow_executor="local")
    check_archive(archive, limits)
    with pytest.raises(InvocationError, match="executor 'local'"):
        check_archive(changed(archive, on_local), limits)


@pytest.mark.parametrize("change", [on_local, own_hook])
def test_an_option_allows_it(change: Any) -> None:
    archive, limits = built(allowed=("*",))
    check_archive(changed(archive, change), limits)


def test_an_executor_is_allowed_by_name() -> None:
    archive, limits = built(allowed=("local",))
    check_archive(changed(archive, on_local), limits)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_are_refused(kind: bytes) -> None:
    member = tarfile.TarInfo("tmp/value.tobj")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(InvocationError, match="not a plain file"):
        check_archive(packed({}, member), built()[1])


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "tmp/../../evil"])
def test_paths_out_of_the_folder_are_refused(name: str) -> None:
    with pytest.raises(InvocationError, match="not a plain file"):
        check_archive(packed({name: b""}), built()[1])


@pytest.mark.parametrize(
    "text",
    ["", "x", "!!!!", "gAVLAS4=", packed({}), packed({"manifest.json": b"{}"}),
     packed({"manifest.json": b"[" * 200_000})],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvocationError, match="The answer of a sublattice's node is refused"):
        check_archive(text, built()[1])
