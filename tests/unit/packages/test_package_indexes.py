"""Packages that are bound to an index, as uv is told."""

from __future__ import annotations

from typing import Any

import toml

from covalent_lambda_container.packages.index_settings import IndexSettings
from covalent_lambda_container.packages.package_indexes import PROJECT, bound_to_indexes

CPU = "https://wheels.example.com/cpu"


def project(requirements: str, url: str = CPU) -> tuple[dict[str, Any], IndexSettings]:
    settings = IndexSettings(package_indexes=(("torch", url),))
    texts, settings = bound_to_indexes({"requirements.txt": requirements}, settings)
    return toml.loads(texts[PROJECT]), settings


def test_every_version_of_a_package_is_bound_whatever_its_marker() -> None:
    lines = ['torch==1; python_version < "3.11"', 'torch==2; python_version >= "3.11"']
    found, _ = project("\n".join(["six==1.17.0", *lines]))
    assert found["project"]["dependencies"] == lines
    assert list(found["tool"]["uv"]["sources"]) == ["torch"]


def test_logins_are_in_variables_and_a_missing_password_is_none() -> None:
    for login, variables in (
        ("me:secret", {"USERNAME": "me", "PASSWORD": "secret"}),
        ("token", {"USERNAME": "token"}),
    ):
        found, settings = project("torch==2", CPU.replace("//", f"//{login}@"))
        assert found["tool"]["uv"]["index"][0]["url"] == CPU
        assert dict(settings.variables) == {
            f"UV_INDEX_PACKAGE_INDEX_0_{name}": value for name, value in variables.items()
        }
