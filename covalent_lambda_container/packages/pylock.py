"""Reads lock files of PEP 751 (``pylock.toml``) as lines of a requirements file."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from packaging.markers import Marker
from packaging.pylock import Package, Pylock, PylockValidationError
from packaging.utils import canonicalize_name

from covalent_lambda_container.packages.index_settings import PACKAGE_INDEX

log = logging.getLogger(__name__)

_ALGORITHMS: Final = ("sha256", "sha384", "sha512")
"""Hashes that requirements may have, the usual one first."""
_CHOSEN: Final = re.compile(r'"([^"]*)" (not )?in (extras|dependency_groups)\b')
_LINUX: Final = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "sys_platform": "linux",
}
_PYTHONS: Final = tuple(
    {"python_version": f"3.{minor}", "python_full_version": f"3.{minor}.9"}
    for minor in range(10, 15)
)
_ALWAYS, _NEVER = 'python_version >= "0"', 'python_version < "0"'


def read_pylock(
    document: Mapping[str, Any], names: Collection[str], default_index: Callable[[], str]
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a lock file, each with the name of its package.

    Each package gets the hashes of its source archive and of its wheels for Linux. If one has
    none, because it comes from a repository, none has: installers require all or nothing.

    Parameters
    ----------
    document
        The file's content.
    names
        Extras and dependency groups to include, beside its default groups.
    default_index
        Returns the index that stands for that of the machine that installs.

    Raises
    ------
    ValueError
        For a file that is not valid, a name that it does not have, and a package that is a folder
        or file of the machine that wrote it.
    """
    try:
        lock = Pylock.from_dict(document)
    except PylockValidationError as exc:
        raise ValueError(f"is not a valid lock file of PEP 751: {exc}") from None
    chosen = _chosen(lock, names)
    packages = [(each, _marker(each, *chosen)) for each in lock.packages]
    packages = [(each, marker) for each, marker in packages if marker != _NEVER]
    bare = [each.name for each, _ in packages if not _hashes(each)]
    if bare and len(bare) < len(packages):
        log.warning("Hashes of the lock file are not checked, only versions: %s has none.", bare[0])
    for each, marker in packages:
        parts = [_requirement(each)]
        parts += [f"; {marker}"] if marker else []
        parts += [f"--hash={value}" for value in ([] if bare else _hashes(each))]
        yield each.name, " ".join(parts)
    yield from _indexes([each for each, marker in packages if _may_hold(marker)], default_index)


def _indexes(
    packages: Sequence[Package], default_index: Callable[[], str]
) -> Iterator[tuple[str, str]]:
    """Yield the lines that name the index of each package.

    An index that all packages are from is one more index. Otherwise each package comes from its
    own: others may be on an index from which they were not locked.
    """
    of_index = [each for each in packages if not (each.vcs or each.archive)]
    named = [each for each in of_index if each.index]
    indexes = {str(each.index).rstrip("/") for each in named}
    other = indexes - ({default_index().rstrip("/")} if indexes else set())
    if len(indexes) == 1 and len(named) == len(of_index):
        yield from (("index", f"--extra-index-url {index}") for index in other)
        return
    of_package: dict[str, set[str]] = {}
    for each in named:
        of_package.setdefault(each.name, set()).add(str(each.index).rstrip("/"))
    for each in named:
        if str(each.index).rstrip("/") not in other:
            continue
        if len(of_package[each.name]) > 1:
            # One index for each package is all that an installer can be told.
            yield each.name, f"--extra-index-url {each.index}"
        else:
            yield each.name, f"{PACKAGE_INDEX} {each.name}={each.index}"


def _may_hold(marker: str) -> bool:
    """Return whether a marker may hold in an image, whose Python is not known yet."""
    return not marker or any(
        Marker(marker).evaluate({**_LINUX, "platform_machine": machine, **python})
        for machine in ("x86_64", "aarch64")
        for python in _PYTHONS
    )


def _chosen(lock: Pylock, names: Collection[str]) -> tuple[set[str], set[str]]:
    """Return the extras and the groups that are included."""
    wanted: set[str] = set(map(canonicalize_name, names))
    extras: set[str] = set(map(canonicalize_name, lock.extras or ()))
    groups: dict[str, str] = {canonicalize_name(n): n for n in lock.dependency_groups or ()}
    for name in sorted(wanted - extras - groups.keys()):
        known = ", ".join(sorted(extras | groups.keys()))
        raise ValueError(
            f"has no extra and no dependency group {name!r}; "
            + (f"it has {known}" if known else "what is locked was chosen when it was written")
        )
    return wanted & extras, {
        *(lock.default_groups or ()),
        *(groups[name] for name in wanted & groups.keys()),
    }


def _marker(package: Package, extras: set[str], groups: set[str]) -> str:
    """Return a package's marker without what is decided by extras and groups; ``""`` for none."""

    def decided(match: re.Match[str]) -> str:
        is_in = match[1] in (extras if match[3] == "extras" else groups)
        return _NEVER if is_in == bool(match[2]) else _ALWAYS

    marker = _CHOSEN.sub(decided, str(package.marker or _ALWAYS))
    if "extras" in marker or "dependency_groups" in marker:
        raise ValueError(f"has a marker that cannot be read, of {package.name}: {package.marker}")
    environment = {"python_version": "3", "extra": ""}
    if not re.sub(r'python_version (>=|<) "0"|and|or|[() ]', "", marker):
        return "" if Marker(marker).evaluate(environment) else _NEVER
    return marker


def _requirement(package: Package) -> str:
    if package.vcs:
        repository = package.vcs
        if repository.type != "git" or not repository.url:
            raise ValueError(f"has {package.name} from a repository that is not of git, or local")
        address = f"git+{repository.url.removeprefix('git+')}@{repository.commit_id}"
        below = f"#subdirectory={repository.subdirectory}" if repository.subdirectory else ""
        return f"{package.name} @ {address}{below}"
    if package.archive and package.archive.url:
        folder = package.archive.subdirectory
        below = f"#subdirectory={folder}" if folder else ""
        return f"{package.name} @ {package.archive.url}{below}"
    if package.archive or package.directory:
        where = package.directory or package.archive
        path = where.path if where else ""
        raise ValueError(
            f"has {package.name} from the folder or file {path!r}, which is code of your own"
        )
    if package.version is None:
        raise ValueError(f"has no version of {package.name}")
    return f"{package.name}=={package.version}"


def _hashes(package: Package) -> list[str]:
    """Return ``"sha256:…"`` of a package's files; of wheels, those that may run in an image."""
    wheels = [each for each in package.wheels or () if _is_for_linux(each.filename)]
    sources = [package.sdist] if package.sdist else []
    hashes = [*(each.hashes for each in wheels), *(each.hashes for each in sources)]
    if package.archive:
        hashes = [package.archive.hashes]
    found = []
    for each in hashes or [wheel.hashes for wheel in package.wheels or ()]:
        known = [name for name in _ALGORITHMS if name in each]
        found += [f"{name}:{each[name]}" for name in known[:1]]
    return sorted(found)


def _is_for_linux(wheel: str) -> bool:
    platform = wheel.removesuffix(".whl").rpartition("-")[2]
    return "any" in platform.split(".") or ("linux" in platform and "musllinux" not in platform)
