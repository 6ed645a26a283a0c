"""The tests themselves: where they are, and that they do not replace parts of what they test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import covalent_lambda_container

PACKAGE = covalent_lambda_container.__name__
FOLDER = Path(covalent_lambda_container.__file__).parent
TESTS = Path(__file__).parents[1]
UNIT = TESTS / "unit"

SEVERAL_MODULES = {
    "runtime/test_isolation.py": "handler, template and task process, and what they do together",
    "test_plugin.py": "Covalent and the plugin, as Covalent loads it",
    "test_run.py": "the plugin's `run` and `cancel`",
    "test_hostile_text.py": "everything that shows text of others",
    # What no module of the package does.
    "test_bench.py": "bench",
    "test_usage_report.py": "bench",
    "test_docs.py": "docs",
    "test_layers.py": "the package as a whole",
    "test_platforms.py": "the package on other systems",
    "test_single_definitions.py": "the package as a whole",
    "test_suite.py": "tests",
}
"""Unit tests that belong to no single module, and to what they belong."""

REPLACED = {
    ("unit/test_run.py", "wiring.service_for"): (
        "Covalent constructs executors itself, from JSON: there is no argument for a service."
    ),
}
"""Parts of the package that tests replace, and why they cannot inject them."""


def has_module(test: Path) -> bool:
    """Return whether a file is named for a module, or a module and a part: ``MODULE_part``."""
    folder = FOLDER / test.relative_to(UNIT).parent
    words = test.stem.split("_")[1:]
    names = ("_".join(words[:count]) for count in range(1, len(words) + 1))
    return any((folder / f"{name}.py").exists() for name in names)


def test_unit_tests_mirror_the_package() -> None:
    strangers = {
        test.relative_to(UNIT).as_posix()
        for test in UNIT.rglob("test_*.py")
        if not has_module(test)
    }
    assert strangers == set(SEVERAL_MODULES)


def own_names(tree: ast.AST) -> set[str]:
    """Return the names that a file has for modules and objects of the package."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(PACKAGE):
            names |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {
                alias.asname or PACKAGE for alias in node.names if alias.name.startswith(PACKAGE)
            }
    return names


def root_of(node: ast.expr) -> str:
    """Return the name that an attribute of an attribute begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def replaced(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield what a file replaces while its tests run: an object and an attribute of it.

    By ``monkeypatch.setattr`` and ``delattr``, by ``mock.patch`` and ``patch.object``, or by an
    assignment to an attribute of an imported name.
    """
    own = own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Attribute) and root_of(target) in own:
                    yield ast.unparse(target.value), target.attr
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = ast.unparse(node.func).split(".")
        if function[-1] not in ("setattr", "delattr") and "patch" not in function:
            continue
        first, *others = node.args
        if isinstance(first, ast.Constant) and isinstance(first.value, str):
            place, _, name = first.value.rpartition(".")
            yield place, name
        elif others and isinstance(others[0], ast.Constant):
            yield ast.unparse(first), str(others[0].value)


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda path: path.relative_to(TESTS).as_posix()
)
def test_no_test_replaces_a_private_name_or_a_part_of_the_package(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    own = own_names(tree) | {PACKAGE}
    found = {
        f"{place}.{name}"
        for place, name in replaced(tree)
        if place.split(".")[0] in own or (name.startswith("_") and not name.startswith("__"))
    }
    here = path.relative_to(TESTS).as_posix()
    assert found == {name for file, name in REPLACED if file == here}, "inject a fake instead"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("monkeypatch.setattr(names, '_LIMIT', 1)", ("names", "_LIMIT")),
        ("monkeypatch.setattr('covalent_lambda_container.x.do', 1)", (f"{PACKAGE}.x", "do")),
        ("mock.patch.object(names, 'do')", ("names", "do")),
        ("patch('covalent_lambda_container.x.do')", (f"{PACKAGE}.x", "do")),
        (f"from {PACKAGE} import names\nnames.do = 1", ("names", "do")),
    ],
)
def test_every_way_to_replace_something_is_seen(text: str, seen: tuple[str, str]) -> None:
    assert list(replaced(ast.parse(text))) == [seen]
