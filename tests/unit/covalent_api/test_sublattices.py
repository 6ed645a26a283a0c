"""A sublattice's archive may use only what the client named."""

from __future__ import annotations

import base64
import json
import tarfile
from collections.abc import Callable
from typing import Any

import covalent as ct
import pytest
from covalent._workflow.electron import _build_sublattice_graph
from covalent._workflow.transport import TransportableObject

from covalent_lambda_container.covalent_api.sublattice_archives import check_archive
from covalent_lambda_container.covalent_api.sublattices import (
    builds_sublattice,
)
from covalent_lambda_container.covalent_api.transport import transportable
from covalent_lambda_container.errors import InvocationError
from tests.unit.covalent_api.archives import (
    built,
    changed,
    nodes,
    packed,
)


@pytest.mark.parametrize("name", ["sub", "sub_local", "outer"])
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


def reused(files: Any, manifest: Any) -> None:
    """Have the server take a node's output from the archive instead of running it."""
    nodes(manifest)[0]["metadata"]["status"] = "PENDING_REUSE"


def ended(files: Any, manifest: Any) -> None:
    manifest["metadata"]["status"] = "COMPLETED"


def in_a_parameters_group(files: Any, manifest: Any) -> None:
    """Have an electron run on the executor of a parameter, which comes last in their group."""
    nodes(manifest)[1]["metadata"] |= {"executor": "local", "executor_data": {}, "task_group_id": 0}


def in_no_group(files: Any, manifest: Any) -> None:
    nodes(manifest)[0]["metadata"]["task_group_id"] = 77


def twice(files: Any, manifest: Any) -> None:
    nodes(manifest).append(nodes(manifest)[0])


def cycle(files: Any, manifest: Any) -> None:
    link = manifest["lattice"]["transport_graph"]["links"][0]
    back = {"source": link["target"], "target": link["source"], "metadata": link["metadata"]}
    manifest["lattice"]["transport_graph"]["links"].append(back)


def waits_for_itself(files: Any, manifest: Any) -> None:
    link = manifest["lattice"]["transport_graph"]["links"][0]
    link["target"] = link["source"]


def encoded_path(files: Any, manifest: Any) -> None:
    """Name a file in the archive that the server reads as another one."""
    files["%2e%2e/%2e%2e/etc/passwd"] = b""
    nodes(manifest)[1]["assets"]["value"]["uri"] = "file:///%2e%2e/%2e%2e/etc/passwd"


def cut_path(files: Any, manifest: Any) -> None:
    path = nodes(manifest)[0]["assets"]["hooks"]["uri"].removeprefix("file:///")
    files[f"{path}?x"] = b"{}"
    nodes(manifest)[0]["assets"]["hooks"]["uri"] = f"file:///{path}?x"


def same_file(written: str) -> Callable[[Any, Any], None]:
    """Write hooks over those that are checked."""

    def change(files: Any, manifest: Any) -> None:
        path = nodes(manifest)[0]["assets"]["hooks"]["uri"].removeprefix("file:///")
        folder, _, name = path.rpartition("/")
        files[written.format(folder=folder, name=name, upper=name.upper())] = b"{}"

    return change


def any_function(files: Any, manifest: Any) -> None:
    """Have the server import what a function of the forger's returns."""
    nodes(manifest)[0]["metadata"]["name"] = ":sublattice:sub"


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
    "output for reuse": (reused, "not new, but PENDING_REUSE"),
    "ended dispatch": (ended, "not new, but COMPLETED"),
    "group of a parameter": (in_a_parameters_group, "in a group with others"),
    "group of nobody": (in_no_group, "a group that is not its own"),
    "cycle": (cycle, "wait for each other"),
    "node that waits for itself": (waits_for_itself, "wait for each other"),
    "node twice": (twice, "an id or a group that is not its own"),
    "encoded path": (encoded_path, "not a plain file"),
    "path with a query": (cut_path, "not a plain file"),
    "same file by a dot": (same_file("{folder}/./{name}"), "not a plain file"),
    "same file by slashes": (same_file("{folder}//{name}"), "not a plain file"),
    "same file by case": (same_file("{folder}/{upper}"), "twice"),
    "output in a file": (other_options("log_stdout", "/etc/cron.d/x"), "another log_stdout"),
    "errors in a file": (other_options("log_stderr", "../x"), "another log_stderr"),
    "any function as a sublattice": (any_function, "Covalent's function that builds"),
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


# -- sublattices in sublattices: their limits are read from what the forger has written ------------


def argument(index: int, change: Callable[[Any], Any]) -> Callable[[Any, Any], None]:
    """Replace an argument of the function that builds the inner sublattice."""

    def forge(files: Any, manifest: Any) -> None:
        (builder,) = (n for n in nodes(manifest) if n["metadata"]["name"].startswith(":sublattice"))
        links = manifest["lattice"]["transport_graph"]["links"]
        (source,) = (
            link["source"]
            for link in links
            if link["target"] == builder["id"] and link["metadata"]["arg_index"] == index
        )
        path = nodes(manifest)[source]["assets"]["output"]["uri"].removeprefix("file:///")
        value = TransportableObject.deserialize(files[path]).get_deserialized()
        files[path] = TransportableObject(change(value)).serialize()

    return forge


def with_parents(**changes: Any) -> Callable[[Any, Any], None]:
    return argument(1, lambda parent: json.dumps(json.loads(parent) | changes))


def lattice_on_local(lattice: Any) -> Any:
    lattice.metadata["executor"] = "local"
    return lattice


def lattice_with_a_hook(lattice: Any) -> Any:
    lattice.metadata["hooks"] = {"deps": {"pip": ct.DepsPip(["evil"]).to_dict()}}
    return lattice


def lattice_of_an_electron(files: Any, manifest: Any) -> None:
    """Pass the inner lattice as the output of an electron, which nobody has seen yet."""
    for link in manifest["lattice"]["transport_graph"]["links"]:
        if link["metadata"]["edge_name"] == "sub":
            (link["source"],) = (
                node["id"] for node in nodes(manifest) if node["metadata"]["name"] == "first"
            )


INNER: dict[str, tuple[Callable[[Any, Any], None], str]] = {
    "parent on local": (with_parents(executor="local"), "executor 'local'"),
    "post-processing on local": (with_parents(workflow_executor="local"), "executor 'local'"),
    "parent's options": (
        with_parents(executor_data={"attributes": {"local_packages": ["/etc"]}}),
        "another local_packages",
    ),
    "parent's hooks": (
        with_parents(hooks={"pip": ct.DepsPip(["evil"]).to_dict()}),
        "a hook",
    ),
    "lattice on local": (argument(0, lattice_on_local), "executor 'local'"),
    "lattice with a hook": (argument(0, lattice_with_a_hook), "a hook"),
    "lattice of an electron": (lattice_of_an_electron, "a lattice that is not in the archive"),
}


@pytest.mark.parametrize(("change", "said"), INNER.values(), ids=INNER)
def test_an_inner_sublattice_may_not_have_more(change: Any, said: str) -> None:
    archive, limits = built("outer")
    with pytest.raises(InvocationError, match=said):
        check_archive(changed(archive, change), limits)


def test_a_file_that_is_larger_than_its_content_is_refused() -> None:
    member = tarfile.TarInfo("tmp/value.tobj")
    member.type, member.size = tarfile.GNUTYPE_SPARSE, 0
    with pytest.raises(InvocationError, match="not a plain file"):
        check_archive(packed({}, member), built()[1])


def test_text_with_padding_inside_is_refused() -> None:
    # Decoders that are not strict end there.
    archive, limits = built()
    large = base64.b64decode(changed(archive, lambda files, _: files.update(large=bytes(2**21))))
    first = 3 * 2**18 - 2
    text = "".join(base64.b64encode(part).decode() for part in (large[:first], large[first:]))
    assert text[2**20 - 2 : 2**20] == "=="
    with pytest.raises(InvocationError, match="not an archive"):
        check_archive(text, limits)


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
