"""A project's dependencies as lines of a requirements file."""

from __future__ import annotations

import pytest

from covalent_lambda_container.packages.project_files import read_project_text
from covalent_lambda_container.packages.pyproject import read_pyproject
from tests.unit.packages.project_examples import PYPROJECT


def lines(document: dict[str, object], *names: str) -> list[str]:
    return sorted(line for _, line in read_pyproject(document, names))


PROJECT: dict[str, object] = {
    "name": "My.Own",
    "dependencies": ["alpha"],
    "optional-dependencies": {"a": ["my-own[b]", "beta"], "b": ["My_Own[a]", "gamma"]},
}


def test_extras_may_name_each_other() -> None:
    assert lines({"project": PROJECT}, "A") == ["alpha", "beta", "gamma"]


def test_groups_need_no_project() -> None:
    groups = {"Dev": ["six", {"include-group": "more"}], "more": ["humanize"]}
    assert lines({"dependency-groups": groups}, "dev") == ["humanize", "six"]


def test_indexes_of_uv_are_known() -> None:
    index = [{"url": "https://a.example.com/simple", "default": True}, {"url": "https://b.example"}]
    assert lines({"project": PROJECT, "tool": {"uv": {"index": index}}}) == [
        "--extra-index-url https://b.example",
        "--index-url https://a.example.com/simple",
        "alpha",
    ]


def test_a_package_may_have_an_index_of_its_own() -> None:
    index = [
        {"name": "cpu", "url": "https://cpu.example.com", "explicit": True},
        {"name": "unused", "url": "https://unused.example.com", "explicit": True},
    ]
    tool = {"uv": {"index": index, "sources": {"Alpha": {"index": "cpu"}}}}
    assert lines({"project": PROJECT, "tool": tool}) == [
        "--package-index alpha=https://cpu.example.com",
        "alpha",
    ]


@pytest.mark.parametrize(
    ("document", "names", "said"),
    [
        ({"tool": {"poetry": {}}}, [], r"has no table \[project\] with dependencies"),
        ({"project": {"dynamic": ["dependencies"]}}, [], "leaves its dependencies to its build"),
        (
            {"project": PROJECT | {"dynamic": ["optional-dependencies"]}},
            ["a"],
            "leaves its optional-dependencies to its build",
        ),
        ({"project": {"dependencies": "six"}}, [], "'dependencies', which is not a list"),
        ({"project": {"dependencies": ["six ="]}}, [], "'six =', which is not valid"),
        ({"project": []}, [], "'project', which is not a table"),
        (
            {"project": {"name": "x", "dependencies": ["x[y]"]}},
            [],
            "names its own extra 'y', which it does not have",
        ),
        (
            {"dependency-groups": {"a": [{"include-group": "a"}]}},
            ["a"],
            "groups that are not valid: Cyclic",
        ),
        (
            {"project": PROJECT, "tool": {"uv": {"sources": {"Alpha": {"path": "../alpha"}}}}},
            [],
            r"source of alpha in \[tool\.uv\.sources\].*name uv\.lock instead",
        ),
    ],
)
def test_fields_that_only_a_build_or_uv_can_read_are_refused(
    document: dict[str, object], names: list[str], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        lines(document, *names)


def test_a_text_has_the_project_itself() -> None:
    assert read_project_text(PYPROJECT) == [("dependencies", "alpha")]
