"""Which folders may import which, and which modules may import an outside library."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import covalent_lambda_container

ROOT = "covalent_lambda_container"
FOLDER = Path(covalent_lambda_container.__file__).parent

# Every folder, and every module of the package's root, with what it may import. A folder may import
# itself; ``adapters`` may not (each adapter stands alone), and neither may ``ports``' users import
# ``adapters``: `executor.wiring` puts them together.
MAY_IMPORT: dict[str, set[str]] = {
    # What people use.
    "__init__": {"awslambda_container"},
    "awslambda_container": {
        *("concurrency", "covalent_api", "errors", "executor", "model", "options", "tasks"),
    },
    "cli": {
        *("account", "adapters/aws", "covalent_api", "doctor", "errors", "executor", "functions"),
        *("iam", "images", "local", "model", "options", "packages", "ports", "report"),
    },
    "local": {
        *("__init__", "account", "adapters/aws", "adapters/docker", "errors", "executor", "iam"),
        *("model", "options", "step_log"),
    },
    "doctor": {
        *("account", "adapters/aws", "adapters/docker", "concurrency", "covalent_api", "errors"),
        *("executor", "model", "options", "progress", "tasks"),
    },
    "account": {"adapters/aws", "errors", "executor", "iam", "model", "options"},
    "report": {"covalent_api", "errors", "options", "tasks"},
    # What puts the parts together.
    "executor": {
        *(
            "adapters",
            "adapters/aws",
            "adapters/docker",
            "adapters/registry",
            "concurrency",
            "covalent_api",
            "errors",
            "functions",
        ),
        *("images", "model", "options", "packages", "ports", "progress", "runtime", "tasks"),
    },
    "covalent_api": {"concurrency", "errors", "model", "options", "packages", "runtime"},
    # The three flows.
    "images": {
        *("concurrency", "errors", "files", "model", "packages", "ports", "progress", "runtime"),
        "step_log",
    },
    "functions": {
        *("concurrency", "errors", "files", "iam", "model", "ports", "progress", "step_log"),
    },
    "tasks": {
        *("concurrency", "errors", "files", "model", "ports", "progress", "runtime", "step_log"),
    },
    # The outside systems.
    "adapters": {"concurrency", "errors", "files", "model", "packages", "ports"},
    "adapters/docker": {
        *("concurrency", "errors", "files", "model", "packages", "ports", "progress"),
    },
    "adapters/registry": {"concurrency", "errors", "files", "model", "ports", "progress"},
    "adapters/aws": {"concurrency", "errors", "files", "iam", "model", "ports"},
    "ports": {"errors", "files", "model", "packages"},
    "iam": {"model"},
    # Values.
    "options": {"errors", "model", "packages"},
    "model": {"errors", "packages"},
    "packages": {"errors"},
    "files": {"concurrency", "errors"},
    "concurrency": {"errors"},
    "errors": set(),
    "step_log": set(),
    "progress": set(),
    "runtime": set(),
}

STAND_ALONE = ("adapters",)
"""Folders whose modules do not import one another."""

# The modules or folders that may import an outside library.
CONFINED = {
    "boto3": {"adapters/aws/session", "adapters/aws/s3", "local"},
    "botocore": {"adapters/aws", "account", "doctor", "local"},
    "click": {"cli", "local"},
    "covalent": {"awslambda_container", "covalent_api", "doctor", "local", "options/resolve"},
    "covalent_dispatcher": {"covalent_api", "local"},
    "docker": {"adapters/docker", "doctor", "local", "packages/ignore_file"},
    "isal": {"adapters/registry", "files/kept_files"},
    "jinja2": {"images/dockerfile", "report/page"},
    "matplotlib": {"report/pictures"},
    "pybase64": {"covalent_api/long_values", "tasks/answers", "tasks/s3_envelope"},
    "pydantic": {"options", "tasks/answers"},
    "pydantic_core": {"files/json_documents"},
    "pyqwest": {"adapters/aws/lambda_invocations"},
    "sqlalchemy": {"covalent_api/post_processing", "covalent_api/web_page"},
    # It installs, and it reads its own lock file.
    "uv": {"adapters/uv_installer", "packages/uv_lock"},
}

MODULE_LINES = 300
CLASS_LINES = 200
LARGER_CLASSES = {
    "covalent_api/configured_executor.ConfiguredExecutor": (
        "Written from the declared options: each takes four lines or more of docstring, signature "
        "and collected arguments, which belong to one constructor."
    ),
}
"""Classes that may have more lines, and why."""

IN_CONTAINER = FOLDER / "images" / "in_container"


def module_path(path: Path) -> str:
    """Return a file's path in the package, without suffix: ``"model/specs"``."""
    return path.relative_to(FOLDER).with_suffix("").as_posix()


def layer_of(module: str) -> str:
    """Return the key of `MAY_IMPORT` that a module belongs to."""
    layers = [name for name in MAY_IMPORT if f"{module}/".startswith(f"{name}/")]
    return max(layers, key=len, default="")


def imports(path: Path) -> Iterator[str]:
    """Yield the full names of what a file imports anywhere in it."""
    package = [ROOT, *path.relative_to(FOLDER).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def imported_modules(path: Path) -> set[str]:
    """Return the paths of this package's modules that a file imports."""
    found = set()
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != ROOT:
            continue
        inner = parts[1:]
        while inner and not (
            FOLDER.joinpath(*inner).is_dir() or FOLDER.joinpath(*inner).with_suffix(".py").is_file()
        ):
            inner.pop()
        found.add("/".join(inner) or "__init__")
    return found


FILES = [path for path in sorted(FOLDER.rglob("*.py")) if "templates" not in path.parts]
IDS = [module_path(path) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_module_imports_only_allowed_folders(path: Path) -> None:
    own = layer_of(module_path(path))
    assert own, "say in MAY_IMPORT what it may import"
    assert {layer_of(name) for name in imported_modules(path)} - {own} <= MAY_IMPORT[own]


def test_the_architecture_page_has_the_same_table() -> None:
    page = (FOLDER.parent / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| `([\w/]+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    assert {name: set(re.findall(r"`([\w/]+)`", allowed)) for name, allowed in rows} == MAY_IMPORT


def test_folders_do_not_import_each_other() -> None:
    below: dict[str, set[str]] = {}
    remaining = dict(MAY_IMPORT)
    while remaining:
        lowest = [name for name, allowed in remaining.items() if allowed <= set(below)]
        assert lowest, f"a circle among {sorted(remaining)}"
        for name in lowest:
            below[name] = remaining.pop(name)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_adapters_do_not_import_one_another(path: Path) -> None:
    own = module_path(path)
    if layer_of(own) in STAND_ALONE:
        siblings = {name for name in imported_modules(path) if layer_of(name) == layer_of(own)}
        assert siblings == set()


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_library_is_imported_where_it_belongs_and_nowhere_else(path: Path) -> None:
    own = module_path(path)
    libraries = {name.partition(".")[0] for name in imports(path)} & set(CONFINED)
    strangers = {
        library
        for library in libraries
        if not any(f"{own}/".startswith(f"{place}/") for place in CONFINED[library])
    }
    assert strangers == set()


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_packages_are_empty_so_that_importing_covalent_stays_fast(path: Path) -> None:
    # Covalent imports the plugin, and with it the __init__ of every folder on its way.
    if path.name == "__init__.py" and path.parent not in (FOLDER, FOLDER / "account"):
        body = ast.parse(path.read_text("utf-8")).body
        assert [node for node in body if not isinstance(node, ast.Expr)] == []


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_module_is_small(path: Path) -> None:
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= MODULE_LINES, "split it by concept"


def classes() -> Iterator[tuple[str, int]]:
    """Yield the package's classes, by module and name, and the number of their lines."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                yield f"{module_path(path)}.{node.name}", (node.end_lineno or first) - first + 1


def test_a_class_is_small() -> None:
    large = {name for name, lines in classes() if lines > CLASS_LINES}
    assert large == set(LARGER_CLASSES), "split it by concept"


@pytest.mark.parametrize(
    "path", sorted((FOLDER / "runtime").glob("*.py")), ids=lambda path: path.name
)
def test_the_runtime_needs_the_standard_library_and_cloudpickle_only(path: Path) -> None:
    libraries = {name.partition(".")[0] for name in imports(path)}
    assert libraries <= {*sys.stdlib_module_names, "cloudpickle", ROOT}
    assert {layer_of(name) for name in imported_modules(path)} <= {"runtime"}


@pytest.mark.parametrize("path", sorted(IN_CONTAINER.glob("*.py")), ids=lambda path: path.name)
def test_programs_for_root_images_need_the_standard_library_only(path: Path) -> None:
    assert {name.partition(".")[0] for name in imports(path)} <= {*sys.stdlib_module_names}


def test_the_runtime_imports_itself_by_relative_names_only() -> None:
    # Inside an image it is a package of another name.
    for path in (FOLDER / "runtime").glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and not node.level:
                assert not str(node.module).startswith(ROOT), path
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith(ROOT) for alias in node.names), path
