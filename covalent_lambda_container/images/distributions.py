"""The distributions that an installer wrote to a folder: their files and modules."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.utils import InvalidName, canonicalize_name
from packaging.version import InvalidVersion, Version

from covalent_lambda_container.errors import ImageBuildError
from covalent_lambda_container.packages.local_packages import RESERVED_MODULES
from covalent_lambda_container.packages.urls import PACKAGE_SCHEMES, UnusableUrl, checked_url

_CLOUDPICKLE: Final = "cloudpickle"
"""Every image has the client's version: no value requires it."""
_DIRECT_URL: Final = "direct_url.json"
_OF_ONE_INSTALLATION: Final = frozenset(
    {_DIRECT_URL, "INSTALLER", "RECORD", "REQUESTED", "uv_cache.json"}
)
"""Metadata about an installation rather than about the distribution. The URL is an exception if it
is not a file of this machine, so that others can reach it, too."""
_CHUNK_BYTES: Final = 1 << 20
_LOCK: Final = ".lock"
"""Lock file that uv leaves in a target folder."""
_INTERPRETER: Final = b"#!/usr/bin/env python3\n"


@dataclass(frozen=True, kw_only=True)
class InstalledFile:
    """A file of a distribution.

    Parameters
    ----------
    path
        Path relative to the target folder, with slashes.
    digest
        SHA-256 (hexadecimal) of the content.
    size
        Size of the file on disk, in bytes.
    content
        Content in the image, if it differs from the file on disk.
    overwritten
        Whether the file on disk belongs to another distribution with the same path.
    """

    path: str
    digest: str
    size: int
    content: bytes | None = None
    overwritten: bool = False


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """An installed distribution.

    Parameters
    ----------
    name
        Name, normalised as in PEP 503.
    version
        Version, with its local part.
    origin
        URL it was installed from, ``"git+https://…@0a1b"``; empty if it came from an index.
    folder
        Target folder that its files are relative to.
    metadata_folder
        Folder of its metadata: ``"numpy-2.1.0.dist-info"``.
    files
        Its files, sorted by path.
    """

    name: str
    version: str
    origin: str
    folder: Path
    metadata_folder: str
    files: tuple[InstalledFile, ...]

    @property
    def pinned(self) -> str:
        """Requirement that installs exactly this distribution."""
        return f"{self.name} @ {self.origin}" if self.origin else f"{self.name}=={self.version}"

    @property
    def size(self) -> int:
        """Size of its files on disk, in bytes."""
        return sum(file.size for file in self.files)

    @property
    def identity(self) -> str:
        """SHA-256 (hexadecimal) of its files' paths and contents."""
        lines = [f"{file.path}\0{file.digest}\n" for file in self.files]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def modules(self) -> set[str]:
        """Names of its top-level modules."""
        paths = [file.path for file in self.files if file.path.endswith((".py", ".so"))]
        # Metadata folders have a dot in their name.
        return {path.partition("/")[0].partition(".")[0] for path in paths} - {"bin"}


def distributions_in(folder: Path) -> list[Distribution]:
    """Return the distributions in a target folder, sorted by name.

    A distribution has the files that its RECORD lists and that exist in the folder. Links and paths
    that lead out of the folder are ignored.
    """
    present = dict(_plain_files(folder))
    found = [_read(entry, folder, present) for entry in metadata.distributions(path=[str(folder)])]
    return sorted(_each_file_once(found), key=lambda distribution: distribution.name)


def is_sound(folder: Path, file: InstalledFile) -> bool:
    """Return whether a file on disk has the content that its distribution recorded for it."""
    if file.content is not None:
        return True
    seen = hashlib.sha256()
    with (folder / file.path).open("rb") as opened:
        while piece := opened.read(_CHUNK_BYTES):
            seen.update(piece)
    return seen.hexdigest() == file.digest


def _each_file_once(found: Sequence[Distribution]) -> list[Distribution]:
    """Mark the files that another distribution has overwritten.

    A file that several distributions list belongs to those whose RECORD has its hash. If none does,
    as with a wheel whose hashes are wrong, it belongs to the first: pip installs such files, too.
    """
    claims = Counter(file.path for each in found for file in each.files)
    owners: dict[str, set[str]] = {path: set() for path, number in claims.items() if number > 1}
    for each in found:
        for file in each.files:
            if file.path in owners and is_sound(each.folder, file):
                owners[file.path].add(each.name)
    for each in found:
        for file in each.files:
            if file.path in owners and not owners[file.path]:
                owners[file.path].add(each.name)

    def marked(each: Distribution, file: InstalledFile) -> InstalledFile:
        return replace(file, overwritten=each.name not in owners.get(file.path, {each.name}))

    if not owners:
        return list(found)
    return [replace(each, files=tuple(marked(each, file) for file in each.files)) for each in found]


def unclaimed(folder: Path, distributions: Iterable[Distribution]) -> list[str]:
    """Return the sorted paths of files that belong to no distribution."""
    claimed = {file.path for distribution in distributions for file in distribution.files}
    claimed.add(_LOCK)
    return sorted(
        path
        for path, _ in _plain_files(folder)
        if path not in claimed and not path.endswith(".pyc") and not _is_of_one_installation(path)
    )


def check_modules(distributions: Iterable[Distribution]) -> None:
    """Refuse distributions that would replace modules of the runtime or of Lambda.

    Raises
    ------
    ImageBuildError
        There is one; the message names it and the module.
    """
    for each in distributions:
        replaced = each.modules & RESERVED_MODULES
        if replaced and each.name != _CLOUDPICKLE:
            raise ImageBuildError(
                f"{each.pinned} has the module {min(replaced)}, and would replace the module of "
                "that name that runs tasks in the image.",
                hint="Leave it out of the requirements: images have what Lambda needs.",
            )


def lock_text(distributions: Iterable[Distribution]) -> str:
    """Return a requirements file that pins every distribution."""
    return "".join(f"{line}\n" for line in sorted(each.pinned for each in distributions))


def modules_text(distributions: Iterable[Distribution]) -> str:
    """Return JSON that maps each top-level module to the requirements that install it.

    The runtime looks up there which packages a result requires.
    """
    modules: dict[str, list[str]] = {}
    for distribution in distributions:
        if distribution.name != _CLOUDPICKLE:
            for module in distribution.modules:
                modules.setdefault(module, []).append(distribution.pinned)
    return json.dumps({name: sorted(modules[name]) for name in sorted(modules)})


def _read(entry: metadata.Distribution, folder: Path, present: Mapping[str, int]) -> Distribution:
    files = []
    metadata_folder = ""
    for listed in entry.files or ():
        # The RECORD paths of scripts and data are relative to a folder below the target.
        path = "/".join(part for part in listed.parts if part != "..")
        parent, _, name = path.rpartition("/")
        if name == "METADATA":
            metadata_folder = metadata_folder or parent
        if path not in present or name.endswith(".pyc"):
            continue
        is_origin = name == _DIRECT_URL and _origin(entry)
        if _is_of_one_installation(path) and not is_origin:
            continue
        files.append(_file(path, folder, present[path], listed.hash))
    try:
        name = canonicalize_name(entry.metadata["Name"], validate=True)
        version = str(Version(entry.version))
    except (InvalidName, InvalidVersion) as exc:
        raise ImageBuildError(f"A distribution has unusable metadata: {exc}") from exc
    return Distribution(
        name=name,
        version=version,
        origin=_origin(entry),
        folder=folder,
        metadata_folder=metadata_folder,
        files=tuple(sorted(files, key=lambda file: file.path)),
    )


def _is_of_one_installation(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    # Folders inside it (licenses, SBOMs) belong to the distribution.
    return name in _OF_ONE_INSTALLATION and folder.endswith(".dist-info") and "/" not in folder


def _file(path: str, folder: Path, size: int, recorded: metadata.FileHash | None) -> InstalledFile:
    if path.startswith("bin/") or recorded is None or recorded.mode != "sha256":
        content = (folder / path).read_bytes()
        changed = _without_interpreter(content) if path.startswith("bin/") else content
        return InstalledFile(
            path=path,
            digest=hashlib.sha256(changed).hexdigest(),
            size=size,
            content=changed if changed != content else None,
        )
    digest = base64.urlsafe_b64decode(recorded.value + "=" * (-len(recorded.value) % 4)).hex()
    return InstalledFile(path=path, digest=digest, size=size)


def _without_interpreter(script: bytes) -> bytes:
    """Return a script that starts the image's Python instead of the installer's."""
    first, newline, rest = script.partition(b"\n")
    if newline and first.startswith(b"#!") and b"python" in first:
        return _INTERPRETER + rest
    return script


def _origin(entry: metadata.Distribution) -> str:
    origin = json.loads(entry.read_text("direct_url.json") or "{}")
    url: str = origin.get("url", "")
    revision, folder = origin.get("vcs_info"), origin.get("subdirectory")
    if revision:
        url = f"{revision['vcs']}+{url}@{revision['commit_id']}"
    if folder:
        url += f"#subdirectory={folder}"
    try:
        # Other tasks may require it, and a Dockerfile names it.
        return checked_url(url, PACKAGE_SCHEMES)
    except UnusableUrl:
        return ""


def _plain_files(folder: Path | str, below: str = "") -> Iterator[tuple[str, int]]:
    """Yield the relative path of each plain file, with slashes, and its size in bytes."""
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _plain_files(entry.path, f"{below}{entry.name}/")
            elif entry.is_file(follow_symlinks=False):
                yield below + entry.name, entry.stat().st_size
