"""The layers: a module imports what is below it, and each outside library has its place."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import covalent_lambda_container

ROOT = "covalent_lambda_container"
FOLDER = Path(covalent_lambda_container.__file__).parent

# From top to bottom. A module may import modules of its own layer, adapters excepted.
LAYERS = {
    "face": ["__init__", "awslambda_container", "cli", "local", "usage"],
    "service": ["prebuild", "service", "account", "doctor"],
    "flow": [
        *("provision", "invocation", "inventory", "shared_work", "cancel_signs", "cancellation"),
        *("image_build", "leftovers", "package_install", "root", "this_machine", "workbench"),
    ],
    "adapters": [
        *("cloudwatch_logs", "docker_engine", "ecr", "lambda_functions", "lambda_invocations"),
        *("machine_settings", "s3", "uv_installer"),
    ],
    "aws": ["aws", "signatures"],
    "ports": ["ports"],
    "core": [
        *(
            "archives",
            "cache_use",
            "configuration",
            "covalent_dispatch",
            "covalent_task",
            "covalent_workflow",
            "covalent_graph",
            "covalent_script",
        ),
        *("distributions", "dockerfile", "errors", "event_loop", "image_contents"),
        *("install_settings", "journal", "local_packages", "missing_modules", "options", "packing"),
        *("packs", "pickles", "pieces", "policies", "requirements", "requirements_files"),
        *("spec", "urls"),
    ],
    "remote": ["runtime", "inside"],
}
HEIGHT = {
    module: height for height, modules in enumerate(reversed(LAYERS.values())) for module in modules
}

# Libraries that only some modules know.
CONFINED = {
    "click": {"cli", "local"},
    "boto3": {"aws", "s3", "local"},
    "botocore": {*LAYERS["aws"], *LAYERS["adapters"], "account", "doctor", "local"},
    "covalent": {
        *("awslambda_container", "configuration", "covalent_dispatch", "covalent_task"),
        *("covalent_workflow", "covalent_graph", "covalent_script", "doctor", "local"),
    },
    "covalent_dispatcher": {"covalent_task", "local"},
    "docker": {"docker_engine", "doctor", "local", "local_packages"},
    "jinja2": {"dockerfile"},
    "pybase64": {"packing"},
    "pydantic": {"options"},
    "pyqwest": {"lambda_invocations"},
    "uv": {"uv_installer"},
}


def own_name(path: Path) -> str:
    """Return a file's module, or the package it is in: ``"spec"``, ``"runtime"``."""
    relative = path.relative_to(FOLDER)
    return relative.parts[0].removesuffix(".py")


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
    """Return the modules of ours that a file imports."""
    found = set()
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == ROOT:
            is_module = len(parts) > 1 and parts[1] in HEIGHT
            found.add(parts[1] if is_module else "__init__")
    return found


FILES = [path for path in sorted(FOLDER.rglob("*.py")) if "templates" not in path.parts]
IDS = [str(path.relative_to(FOLDER)) for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_every_module_has_a_layer(path: Path) -> None:
    assert own_name(path) in HEIGHT, "say in LAYERS where it belongs"


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_no_import_points_up(path: Path) -> None:
    height = HEIGHT[own_name(path)]
    assert {name for name in imported_modules(path) if HEIGHT[name] > height} == set()


@pytest.mark.parametrize("name", LAYERS["adapters"])
def test_adapters_do_not_import_one_another(name: str) -> None:
    assert imported_modules(FOLDER / f"{name}.py").isdisjoint({*LAYERS["adapters"]} - {name})


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_a_library_is_known_where_it_belongs_and_nowhere_else(path: Path) -> None:
    libraries = {name.partition(".")[0] for name in imports(path)}
    strangers = {lib for lib in libraries & set(CONFINED) if own_name(path) not in CONFINED[lib]}
    assert strangers == set()


@pytest.mark.parametrize(
    "path", [path for path in FILES if own_name(path) == "runtime"], ids=lambda path: path.name
)
def test_the_runtime_needs_the_standard_library_and_cloudpickle_only(path: Path) -> None:
    libraries = {name.partition(".")[0] for name in imports(path)}
    assert libraries <= {*sys.stdlib_module_names, "cloudpickle", ROOT}
    assert imported_modules(path) <= {"runtime"}


@pytest.mark.parametrize("path", sorted((FOLDER / "inside").glob("*.py")), ids=lambda p: p.name)
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
