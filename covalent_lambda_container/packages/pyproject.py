"""Reads a project's dependencies (``pyproject.toml``) as lines of a requirements file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from packaging.dependency_groups import resolve_dependency_groups
from packaging.errors import ExceptionGroup
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from covalent_lambda_container.packages.index_settings import PACKAGE_INDEX

_EXTRAS: Final = "optional-dependencies"
_NO_PROJECT: Final = (
    "has no table [project] with dependencies: what another tool keeps there, its export command "
    "writes as a requirements file"
)


def read_pyproject(
    document: Mapping[str, Any], names: Collection[str] = ()
) -> Iterator[tuple[str, str]]:
    """Yield the lines of a project's dependencies, each with where it is written.

    Parameters
    ----------
    document
        The file's content.
    names
        Extras and dependency groups to include.

    Raises
    ------
    ValueError
        For a file that is not valid, a name that it does not have, and dependencies that only a
        build, or uv, knows.
    """
    project = _table(document, "project")
    extras, groups = split_names(document, names)
    if not project and not groups:
        raise ValueError(_NO_PROJECT)
    found = [("dependencies", line) for line in _dependencies(project, extras)]
    try:
        for group in groups:
            lines = resolve_dependency_groups(_table(document, "dependency-groups"), group)
            found += [(f"group {group}", line) for line in lines]
    except ExceptionGroup as exc:
        raise ValueError(f"has groups that are not valid: {exc.exceptions[0]}") from None
    tool = _table(_table(document, "tool"), "uv")
    indexes = [each for each in tool.get("index", ()) if isinstance(each, Mapping)]
    indexes = [each for each in indexes if "url" in each]
    bound = _bound_to_indexes(tool, [line for _, line in found], indexes)
    yield from found
    for name, url in bound.items():
        yield "tool.uv.sources", f"{PACKAGE_INDEX} {name}={url}"
    for index in indexes:
        # An explicit one has only what a source takes from it.
        if not index.get("explicit"):
            option = "--index-url" if index.get("default") else "--extra-index-url"
            yield "tool.uv.index", f"{option} {index['url']}"


def split_names(document: Mapping[str, Any], names: Collection[str]) -> tuple[list[str], list[str]]:
    """Return which names are extras of a project, and which are dependency groups, or both.

    Raises
    ------
    ValueError
        For a name that is neither.
    """
    extras = set(map(canonicalize_name, _table(_table(document, "project"), _EXTRAS)))
    groups = set(map(canonicalize_name, _table(document, "dependency-groups")))
    wanted = sorted(map(canonicalize_name, names))
    for name in wanted:
        if name not in extras | groups:
            known = ", ".join(sorted(extras | groups)) or "none"
            raise ValueError(f"has no extra and no dependency group {name!r}; it has {known}")
    return [name for name in wanted if name in extras], [name for name in wanted if name in groups]


def _dependencies(project: Mapping[str, Any], extras: list[str]) -> list[str]:
    """Return a project's dependencies and those of extras, its own extras among them resolved."""
    own = canonicalize_name(str(project.get("name", "")))
    of_extras: dict[str, str] = {canonicalize_name(k): k for k in _table(project, _EXTRAS)}
    _check_static(project, "dependencies")
    lines = list(_strings(project, "dependencies"))
    waiting, seen = list(extras), set[str]()
    if waiting:
        _check_static(project, _EXTRAS)
    kept = []
    while lines or waiting:
        if not lines:
            extra = waiting.pop()
            if extra in seen:
                continue
            seen.add(extra)
            if extra not in of_extras:
                raise ValueError(f"names its own extra {extra!r}, which it does not have")
            lines = list(_strings(_table(project, _EXTRAS), of_extras[extra]))
            continue
        line = lines.pop()
        try:
            requirement = Requirement(line)
        except InvalidRequirement as exc:
            raise ValueError(
                f"has the dependency {line!r}, which is not valid: {str(exc).splitlines()[0]}"
            ) from None
        if own and canonicalize_name(requirement.name) == own:
            waiting += map(canonicalize_name, requirement.extras)
        else:
            kept.append(line)
    return kept


def _check_static(project: Mapping[str, Any], field: str) -> None:
    if field in _strings(project, "dynamic"):
        raise ValueError(f"leaves its {field} to its build ('dynamic'), which is not run")


def _bound_to_indexes(
    tool: Mapping[str, Any], lines: list[str], indexes: list[Mapping[str, Any]]
) -> dict[str, str]:
    """Return the indexes of packages that come from one only; refuse other sources of uv's."""
    sources: dict[str, Any] = {
        canonicalize_name(name): source for name, source in _table(tool, "sources").items()
    }
    urls = {str(each["name"]): str(each["url"]) for each in indexes if "name" in each}
    bound = {}
    for line in lines:
        name = Requirement(line).name
        source = sources.get(canonicalize_name(name))
        if isinstance(source, Mapping) and set(source) == {"index"} and source["index"] in urls:
            bound[name] = urls[source["index"]]
        elif source is not None:
            raise ValueError(
                f"has the source of {name} in [tool.uv.sources], which only uv reads: run "
                "'uv lock', and name uv.lock instead"
            )
    return bound


def _table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, Mapping):
        raise ValueError(f"has {name!r}, which is not a table")
    return table


def _strings(table: Mapping[str, Any], name: str) -> list[str]:
    values = table.get(name, [])
    if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
        raise ValueError(f"has {name!r}, which is not a list of strings")
    return values
