"""The archive that a sublattice's node returns, checked before Covalent's server imports it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

from covalent._shared_files.defaults import (
    WAIT_EDGE_NAME,
    parameter_prefix,
    postprocess_prefix,
    sublattice_prefix,
)

from covalent_lambda_container.concurrency.garbage import without_collections
from covalent_lambda_container.covalent_api.pickles import is_pickle_text
from covalent_lambda_container.covalent_api.staged_files import SCHEME, StagedFiles, refused
from covalent_lambda_container.covalent_api.staged_json import manifest_of, parsed
from covalent_lambda_container.covalent_api.sublattices import (
    ANY,
    SublatticeLimits,
    is_exactly_builder,
    limits_of,
    objects_in,
)
from covalent_lambda_container.covalent_api.transport import MADE_BY, MADE_IN, PARTS, REQUIRES
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.model.names import SHORT_NAME

_NOT_STARTED: Final = "NEW_OBJECT"
"""The state of a new graph and its nodes. A node with another one, such as PENDING_REUSE, is not
run: its output in the archive would count as what its executor returned."""

_FREE_OPTIONS: Final = frozenset(
    {
        *("timeout", "memory_size", "ephemeral_storage", "environment", "poll_freq", "cleanup"),
        *("usage_report", "prewarm", "tags", "bash_deps", "architecture", "time_limit", "retries"),
        *("live_output", "max_memory_size"),
    }
)
"""Options of this executor that a sublattice may choose. The others select the account, files of
the dispatcher's machine, and the sources of packages."""
_LOG_FILES: Final = ("log_stdout", "log_stderr")
"""Options that name files of the dispatcher's machine, to which Covalent writes what a task prints;
empty for none."""
_ALLOW_ALL: Final = "allow it with the executor's option sublattice_executors=['*']."


def check_archive(text: str, limits: SublatticeLimits) -> None:
    """Check a sublattice's archive before Covalent's server imports it.

    Parameters
    ----------
    text
        The archive, base64 text.
    limits
        The executors, hooks and packages that it may use.

    Raises
    ------
    InvocationError
        It is not such an archive, or it exceeds the limits; the message names the node.
    """
    try:
        with without_collections():
            _check_files(StagedFiles(text), limits)
    except InvocationError:
        raise
    except Exception as exc:
        # It may contain anything.
        raise refused("it is not an archive of a sublattice") from exc


def _check_files(files: StagedFiles, limits: SublatticeLimits) -> None:
    manifests = [name for name in files.names if name.endswith("manifest.json")]
    if len(manifests) != 1:
        raise refused(f"it has {len(manifests)} manifests")
    manifest = manifest_of(manifests[0], files.document(manifests[0]))
    _check_manifest(files, manifest, limits)


def _check_manifest(
    files: StagedFiles, manifest: Mapping[str, Any], limits: SublatticeLimits
) -> None:
    if manifest["metadata"]["dispatch_id"] or manifest["metadata"]["root_dispatch_id"]:
        raise refused("it names a dispatch of its own")
    lattice = manifest["lattice"]
    owner = f"sublattice {lattice['metadata']['name'][:80]!r}"
    _check_state(owner, manifest["metadata"])
    uris = {SCHEME + name for name in files.names}
    _check_assets(owner, manifest["assets"], uris)
    _check_assets(owner, lattice["assets"], uris)
    _check_executors(owner, lattice["metadata"], limits)
    _check_hooks(owner, files, lattice["assets"], limits)
    graph = lattice["transport_graph"]
    _check_groups(graph["nodes"])
    _check_order(graph)
    for node in graph["nodes"]:
        name = node["metadata"]["name"]
        owner = f"node {name[:80]!r}"
        _check_state(owner, node["metadata"])
        _check_assets(owner, node["assets"], uris)
        _check_headers(owner, files, node["assets"], limits)
        _check_hooks(owner, files, node["assets"], limits)
        if node["metadata"]["sub_dispatch_id"]:
            raise refused(f"{owner} names a dispatch that is already running")
        # Covalent does not run parameters, but assigns them an executor.
        if not name.startswith(parameter_prefix):
            last = name.startswith(postprocess_prefix)
            names = limits.workflow_executors if last else limits.executors
            _check_executor(owner, node["metadata"], "executor", limits, names)
        if name.startswith(sublattice_prefix):
            _check_nested(owner, files, graph, node, limits)


def _check_state(owner: str, metadata: Mapping[str, Any]) -> None:
    if metadata["status"] != _NOT_STARTED:
        raise refused(f"{owner} is not new, but {metadata['status']}")


def _check_groups(nodes: list[Any]) -> None:
    """Check ids and groups of nodes.

    Covalent runs a group on the executor of its last node, of which a parameter's is not checked.
    """
    ids = Counter(node["id"] for node in nodes)
    groups = Counter(node["metadata"]["task_group_id"] for node in nodes)
    for node in nodes:
        group, name = node["metadata"]["task_group_id"], node["metadata"]["name"]
        is_parameter = name.startswith(parameter_prefix)
        if ids[node["id"]] > 1 or group not in ids:
            raise refused(f"node {name[:80]!r} has an id or a group that is not its own")
        if is_parameter and (groups[group] > 1 or group != node["id"]):
            raise refused(f"node {name[:80]!r} is in a group with others")


def _check_order(graph: Mapping[str, Any]) -> None:
    """Check that groups do not wait for each other, which Covalent would do for ever."""
    group = {node["id"]: node["metadata"]["task_group_id"] for node in graph["nodes"]}
    waits_for: dict[int, set[int]] = {}
    for link in graph["links"]:
        source, target = link["source"], link["target"]
        if group[source] != group[target] or source == target:
            waits_for.setdefault(group[target], set()).add(group[source])
    try:
        TopologicalSorter(waits_for).prepare()
    except CycleError:
        raise refused("its nodes wait for each other") from None


def _check_assets(owner: str, assets: Mapping[str, Any], uris: set[str]) -> None:
    for key, asset in assets.items():
        if asset is None:
            continue
        if asset["remote_uri"] or (asset["uri"] and asset["uri"] not in uris):
            raise refused(f"{owner} has its {key} outside the archive")


def _check_headers(
    owner: str, files: StagedFiles, assets: Mapping[str, Any], limits: SublatticeLimits
) -> None:
    for key in ("value", "output"):
        header = files.header(assets, key)
        if header.get(PARTS) or header.get(MADE_BY):
            raise refused(f"{owner} has in its {key} what only a dispatcher may set")
        if header.get(MADE_IN, limits.image) != limits.image:
            raise refused(f"{owner} has in its {key} a value of another image")
        for text in header.get(REQUIRES) or ():
            if text not in limits.pins:
                raise refused(
                    f"{owner} needs, as its {key} says, {str(text)[:80]!r}, which is not in "
                    "the image that built the sublattice"
                )


def _check_executors(owner: str, metadata: Mapping[str, Any], limits: SublatticeLimits) -> None:
    """Check the executors of a lattice."""
    _check_executor(owner, metadata, "executor", limits, limits.executors)
    _check_executor(owner, metadata, "workflow_executor", limits, limits.workflow_executors)


def _check_executor(
    owner: str,
    metadata: Mapping[str, Any],
    key: str,
    limits: SublatticeLimits,
    names: frozenset[str],
) -> None:
    if ANY in limits.allowed:
        return
    name, data = metadata[key], metadata.get(f"{key}_data") or {}
    named = {name, data.get("short_name", name)}
    _check_named(owner, named - names)
    if SHORT_NAME not in named:
        return
    chosen = data.get("attributes") or {}
    for option in sorted(set(chosen) - _FREE_OPTIONS):
        is_known = any(chosen[option] == known.get(option) for known in limits.known_options)
        if not is_known and not (option in _LOG_FILES and chosen[option] == ""):
            raise refused(
                f"{owner} has an executor with another {option[:80]} than its parent's lattice",
                hint=f"Name that executor in @ct.lattice, or {_ALLOW_ALL}",
            )


def _check_named(owner: str, unknown: Iterable[Any]) -> None:
    for each in sorted(map(str, unknown)):
        raise refused(
            f"{owner} requests the executor {each[:80]!r}, which its parent's lattice does not "
            "name",
            hint="If this is intended, allow it with the executor's option "
            f"sublattice_executors=[{each[:80]!r}].",
        )


def _check_hooks(
    owner: str, files: StagedFiles, assets: Mapping[str, Any], limits: SublatticeLimits
) -> None:
    content = files.asset(assets, "hooks") if ANY not in limits.allowed else b""
    if not content:
        return
    for text in objects_in(parsed("hooks", content)):
        if text not in limits.hooks:
            raise _unknown_hook(owner)


def _check_nested(
    owner: str,
    files: StagedFiles,
    graph: Mapping[str, Any],
    node: Mapping[str, Any],
    limits: SublatticeLimits,
) -> None:
    """Check a sublattice in the sublattice: its own limits may not exceed those of its parent.

    They are read from its arguments, which were made where the archive was made.
    """
    if ANY in limits.allowed:
        return
    function = files.value(node["assets"], "function")
    if function is None or not is_exactly_builder(function):
        raise refused(f"{owner} does not run Covalent's function that builds a sublattice")
    names = {each["id"]: each["metadata"]["name"] for each in graph["nodes"]}
    given = sorted(
        (edge["metadata"]["arg_index"], edge["source"])
        for edge in graph["links"]
        if edge["target"] == node["id"]
        and edge["metadata"]["param_type"] == "arg"
        and edge["metadata"]["edge_name"] != WAIT_EDGE_NAME
    )
    sources = [source for _, source in given[:2]]
    if len({index for index, _ in given}) < len(given) or not all(
        names[source].startswith(parameter_prefix) for source in sources
    ):
        raise refused(f"{owner} has a lattice that is not in the archive")
    assets = {each["id"]: each["assets"] for each in graph["nodes"]}
    values = [files.value(assets[source], "output") for source in sources]
    nested = limits_of(
        [value for value in values if value is not None], limits.executor, limits.allowed
    )
    _check_executors(owner, nested.parent, limits)
    _check_named(owner, (nested.executors & _executors_here()) - limits.executors)
    if any(is_pickle_text(text) for text in nested.hooks - limits.hooks):
        raise _unknown_hook(owner)


def _executors_here() -> frozenset[str]:
    """Return the names of the executors that this Covalent has."""
    # Imported here: Covalent imports its plugins, and so this module, while it imports that one.
    from covalent.executor import _executor_manager

    return frozenset(_executor_manager.executor_plugins_map)


def _unknown_hook(owner: str) -> InvocationError:
    return refused(
        f"{owner} has a hook (DepsPip, DepsBash, DepsCall) that the client did not send",
        hint=f"If it is created in the sublattice's own body, {_ALLOW_ALL}",
    )
