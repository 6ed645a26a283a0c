"""Packages that come from one index and from no other, while no other package comes from it.

Locks name the index of each package. Requirements files cannot: uv reads it from a project's
``[tool.uv.sources]``, so the packages are in such a project as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from packaging.requirements import Requirement

from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.logins import login_in
from covalent_lambda_container.packages.requirements import parsed, text_of

PROJECT: Final = "package-indexes/pyproject.toml"
"""Path of the project beside the requirements files."""

_NAME: Final = "package-index-{}"
_VARIABLE: Final = "UV_INDEX_PACKAGE_INDEX_{}_{}"


def bound_to_indexes(
    requirements: Mapping[str, str], settings: IndexSettings
) -> tuple[dict[str, str], IndexSettings]:
    """Return the texts for an installation, and its settings.

    A package that no line of the requirements names is installed only if another requires it, which
    cannot be bound: its index becomes one more index.

    Parameters
    ----------
    requirements
        Texts of ``requirements.txt`` and of the files it refers to, by name.

    Returns
    -------
    tuple
        The same with `PROJECT`, if packages are bound; and settings without such packages.
    """
    if not settings.package_indexes:
        return dict(requirements), settings
    lines = {name: list(_requirements(text)) for name, text in requirements.items()}
    # A lock may have several versions of a package, for different markers.
    direct = [each for each in lines["requirements.txt"] if not each.url]
    names = {each.name for each in direct}
    pinned = {each.name for found in lines.values() for each in found}
    bound = {name: url for name, url in settings.package_indexes if name in names}
    loose = {url: None for name, url in settings.package_indexes if name not in pinned}
    settings = replace(
        settings,
        package_indexes=(),
        extra_index_urls=tuple(dict.fromkeys((*loose, *settings.extra_index_urls))),
        variables=(*settings.variables, *_credentials(bound).items()),
    )
    texts = dict(requirements)
    if bound:
        texts[PROJECT] = _project([each for each in direct if each.name in bound], bound)
    return texts, settings


def _requirements(text: str) -> Iterable[Requirement]:
    return [parsed(line) for line in text.splitlines() if line and not line.startswith("-")]


def _project(requirements: Iterable[Requirement], indexes: Mapping[str, str]) -> str:
    numbers = {url: number for number, url in enumerate(sorted(set(indexes.values())))}
    lines = ["[project]", 'name = "package-indexes"', 'version = "0"', "dependencies = ["]
    sources = ["[tool.uv.sources]"]
    lines += [f"  {json.dumps(text)}," for text in sorted(map(text_of, requirements))]
    for name in sorted(indexes):
        index = _NAME.format(numbers[indexes[name]])
        sources.append(f"{json.dumps(name)} = {{ index = {json.dumps(index)} }}")
    lines += ["]", *sources]
    for url, number in numbers.items():
        parts = urlsplit(url)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        lines += ["[[tool.uv.index]]", f"name = {json.dumps(_NAME.format(number))}"]
        lines += [f"url = {json.dumps(bare)}", "explicit = true"]
    return "".join(f"{line}\n" for line in lines)


def _credentials(indexes: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables with the credentials of these indexes: files are to have none."""
    variables = {}
    for number, url in enumerate(sorted(set(indexes.values()))):
        if login := login_in(url):
            variables[_VARIABLE.format(number, "USERNAME")] = login.username
            if login.password:
                variables[_VARIABLE.format(number, "PASSWORD")] = login.password
    return variables
