"""Values that several modules use are each written down in one place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import covalent_lambda_container

FOLDER = Path(covalent_lambda_container.__file__).parent
MODULES = {path.relative_to(FOLDER).as_posix(): path for path in sorted(FOLDER.rglob("*.py"))}


def constants(path: Path) -> Iterator[object]:
    """Yield the constants of a module's code: no docstrings, and no factors of calculations."""
    tree = ast.parse(path.read_text("utf-8"))
    left_out = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            left_out.add(node.value)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
            left_out |= {node.left, node.right}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node not in left_out:
            yield node.value


def modules_with(value: object) -> list[str]:
    """Return the modules in which a constant stands."""
    kind = type(value)
    return [
        name
        for name, path in MODULES.items()
        if any(type(each) is kind and each == value for each in constants(path))
    ]


def modules_matching(pattern: str) -> list[str]:
    """Return the modules in whose text a pattern occurs."""
    return [name for name, path in MODULES.items() if re.search(pattern, path.read_text("utf-8"))]


@pytest.mark.parametrize(
    ("value", "module"),
    [
        ("awslambda_container", "model/names.py"),
        ("amd64", "model/names.py"),
        ("-r[0-9]+", "model/names.py"),
        ("made-by", "model/names.py"),
        (1000, "options/limits.py"),
        ("public.ecr.aws/lambda/python", "options/limits.py"),
    ],
)
def test_a_value_is_written_once(value: object, module: str) -> None:
    assert modules_with(value) == [module]


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("SHORT_NAME", "model/names.py"),
        ("ARCHITECTURES", "model/names.py"),
        ("TAG_LENGTH", "model/names.py"),
        ("CONCURRENCY_QUOTA", "options/limits.py"),
        ("LONGEST_BUILD_S", "files/cache_folder.py"),
    ],
)
def test_a_name_is_defined_once(name: str, module: str) -> None:
    assert modules_matching(rf"(?m)^\s*{name}\b[^=\n]*= ") == [module]


def test_no_other_module_knows_the_form_of_an_images_tag() -> None:
    assert modules_matching(r"\[0-9a-f\]\{+(32|TAG_LENGTH)") == ["model/names.py"]
