"""The archive that a sublattice's node returns, checked before Covalent's server imports it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any, Final

from covalent._shared_files.defaults import parameter_prefix, postprocess_prefix
from covalent._workflow.transport import TransportableObject
from covalent._workflow.transportable_object import HEADER_OFFSET, TOArchiveUtils

from covalent_lambda_container.covalent_api.sublattices import SublatticeLimits, objects_in
from covalent_lambda_container.covalent_api.transport import MADE_BY, MADE_IN, PARTS, REQUIRES
from covalent_lambda_container.errors import InvocationError
from covalent_lambda_container.model.names import SHORT_NAME

_SCHEME: Final = "file:///"
_PIECE_CHARACTERS: Final = 1024 * 1024
_LARGEST_DOCUMENT: Final = 64 * 1024 * 1024
_LARGEST_HEADER: Final = 1024 * 1024
_MOST_VALUES: Final = 500_000
"""Limits of one call of the JSON parser, in bytes and values. A manifest has two kilobytes and some
forty values for each node, a hook is a long text."""
_ANY: Final = "*"
"""Allows every executor and every hook."""

_FREE_OPTIONS: Final = frozenset(
    {
        *("timeout", "memory_size", "ephemeral_storage", "environment", "poll_freq", "cleanup"),
        *("usage_report", "prewarm", "tags", "bash_deps", "architecture", "time_limit", "retries"),
        *("live_output", "log_stdout", "log_stderr", "max_memory_size"),
    }
)
"""Options of this executor that a sublattice may choose. The others select the account, files of
the dispatcher's machine, and the sources of packages."""


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
        with tarfile.open(fileobj=_decoded(text), mode="r:") as archive:
            _check_members(archive)
            manifests = [name for name in archive.getnames() if name.endswith("manifest.json")]
            if len(manifests) != 1:
                raise _refused(f"it has {len(manifests)} manifests")
            manifest = _json(manifests[0], _content(archive, manifests[0]))
            _check_manifest(archive, manifest, limits)
    except InvocationError:
        raise
    except Exception as exc:
        # It may contain anything.
        raise _refused("it is not an archive of a sublattice") from exc


def _decoded(text: str) -> io.BytesIO:
    """Decode in pieces: the decoder holds the interpreter's lock."""
    raw = io.BytesIO()
    for start in range(0, len(text), _PIECE_CHARACTERS):
        raw.write(base64.b64decode(text[start : start + _PIECE_CHARACTERS], validate=True))
    raw.seek(0)
    return raw


def _check_members(archive: tarfile.TarFile) -> None:
    seen = set()
    for member in archive.getmembers():
        parts = member.name.split("/")
        if not (member.isfile() or member.isdir()) or ".." in parts or member.name.startswith("/"):
            raise _refused(f"it has {member.name[:80]!r}, which is not a plain file in its folder")
        if member.name in seen:
            raise _refused(f"it has {member.name[:80]!r} twice")
        seen.add(member.name)


def _check_manifest(
    archive: tarfile.TarFile, manifest: Mapping[str, Any], limits: SublatticeLimits
) -> None:
    if manifest["metadata"].get("dispatch_id") or manifest["metadata"].get("root_dispatch_id"):
        raise _refused("it names a dispatch of its own")
    lattice = manifest["lattice"]
    owner = f"sublattice {str(lattice['metadata']['name'])[:80]!r}"
    files = {_SCHEME + member.name for member in archive.getmembers() if member.isfile()}
    _check_assets(owner, manifest["assets"], files)
    _check_assets(owner, lattice["assets"], files)
    for key, names in (
        ("executor", limits.executors),
        ("workflow_executor", limits.workflow_executors),
    ):
        _check_executor(owner, lattice["metadata"], key, limits, names)
    _check_hooks(owner, archive, lattice["assets"], limits)
    for node in lattice["transport_graph"]["nodes"]:
        name = str(node["metadata"]["name"])
        owner = f"node {name[:80]!r}"
        _check_assets(owner, node["assets"], files)
        _check_headers(owner, archive, node["assets"], limits)
        _check_hooks(owner, archive, node["assets"], limits)
        if node["metadata"].get("sub_dispatch_id"):
            raise _refused(f"{owner} names a dispatch that is already running")
        # Covalent does not run parameters, but assigns them an executor.
        if not name.startswith(parameter_prefix):
            last = name.startswith(postprocess_prefix)
            names = limits.workflow_executors if last else limits.executors
            _check_executor(owner, node["metadata"], "executor", limits, names)


def _check_assets(owner: str, assets: Mapping[str, Any], files: set[str]) -> None:
    for key, asset in assets.items():
        if asset is None:
            continue
        if asset.get("remote_uri") or (asset.get("uri") and asset["uri"] not in files):
            raise _refused(f"{owner} has its {key} outside the archive")


def _check_headers(
    owner: str, archive: tarfile.TarFile, assets: Mapping[str, Any], limits: SublatticeLimits
) -> None:
    for key in ("value", "output"):
        content = _asset(archive, assets, key, header_only=True)
        if content:
            header = TransportableObject.deserialize(content, header_only=True).header
            if header.get(PARTS) or header.get(MADE_BY):
                raise _refused(f"{owner} has in its {key} what only a dispatcher may set")
            if header.get(MADE_IN, limits.image) != limits.image:
                raise _refused(f"{owner} has in its {key} a value of another image")
            for text in header.get(REQUIRES) or ():
                if text not in limits.pins:
                    raise _refused(
                        f"{owner} needs, as its {key} says, {str(text)[:80]!r}, which is not in "
                        "the image that built the sublattice"
                    )


def _check_executor(
    owner: str,
    metadata: Mapping[str, Any],
    key: str,
    limits: SublatticeLimits,
    names: frozenset[str],
) -> None:
    if _ANY in limits.allowed:
        return
    name, data = metadata[key], metadata.get(f"{key}_data") or {}
    named = {name, data.get("short_name", name)}
    for each in sorted(map(str, named - names)):
        raise _refused(
            f"{owner} requests the executor {each[:80]!r}, which its parent's lattice does not "
            "name",
            hint="If this is intended, allow it with the executor's option "
            f"sublattice_executors=[{each[:80]!r}].",
        )
    if SHORT_NAME not in named:
        return
    chosen = data.get("attributes") or {}
    for option in sorted(set(chosen) - _FREE_OPTIONS):
        if not any(chosen[option] == known.get(option) for known in limits.known_options):
            raise _refused(
                f"{owner} has an executor with another {option[:80]} than its parent's lattice",
                hint="Name that executor in @ct.lattice, or allow it with the executor's option "
                "sublattice_executors=['*'].",
            )


def _check_hooks(
    owner: str, archive: tarfile.TarFile, assets: Mapping[str, Any], limits: SublatticeLimits
) -> None:
    content = _asset(archive, assets, "hooks") if _ANY not in limits.allowed else b""
    for text in objects_in(_json("hooks", content)) if content else ():
        if text not in limits.hooks:
            raise _refused(
                f"{owner} has a hook (DepsPip, DepsBash, DepsCall) that the client did not send",
                hint="If it is created in the sublattice's own body, allow it with the executor's "
                "option sublattice_executors=['*'].",
            )


def _asset(
    archive: tarfile.TarFile, assets: Mapping[str, Any], key: str, *, header_only: bool = False
) -> bytes:
    asset = assets.get(key)
    uri = asset.get("uri") if asset else None
    return _content(archive, uri.removeprefix(_SCHEME), header_only=header_only) if uri else b""


def _content(archive: tarfile.TarFile, name: str, *, header_only: bool = False) -> bytes:
    opened = archive.extractfile(name)
    if not opened:
        return b""
    if not header_only:
        _check_size(name, archive.getmember(name).size, _LARGEST_DOCUMENT)
        return opened.read()
    # The value itself may have hundreds of megabytes.
    start = opened.read(HEADER_OFFSET)
    size = TOArchiveUtils.string_offset(start)
    _check_size(name, size, _LARGEST_HEADER)
    return start + opened.read(max(size - HEADER_OFFSET, 0))


def _json(name: str, content: bytes) -> Any:
    if sum(content.count(sign) for sign in (b",", b"[", b"{")) > _MOST_VALUES:
        raise _refused(f"its {name[:80]!r} has more than {_MOST_VALUES} values")
    return json.loads(content)


def _check_size(name: str, size: int, most: int) -> None:
    if size > most:
        raise _refused(f"its {name[:80]!r} has {size} bytes of JSON")


def _refused(reason: str, hint: str | None = None) -> InvocationError:
    return InvocationError(f"The answer of a sublattice's node is refused: {reason}.", hint=hint)
