"""A real Covalent server whose executor uses the local stack."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import toml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from covalent_lambda_container import step_log
from covalent_lambda_container.local.covalent_server import CovalentServer, covalent_server

WORKFLOWS = Path(__file__).parent / "workflows"

HIDE = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_others(name, path=None, target=None):
    return None if name in {hidden} else find_spec(name, path, target)

PathFinder.find_spec = find_others
"""


def not_shipped() -> set[str]:
    """Return the modules here that ``pip install covalent-lambda-container[local]`` does not bring.

    They belong to the tests and the linters, or to the pictures of reports, which bring NumPy.
    """
    project = toml.load(Path(__file__).parents[2] / "pyproject.toml")["project"]
    left = [
        Requirement(text)
        for text in [*project["dependencies"], *project["optional-dependencies"]["local"]]
    ]
    seen: set[tuple[str, frozenset[str]]] = set()
    while left:
        wanted = left.pop()
        name, extras = canonicalize_name(wanted.name), frozenset(wanted.extras)
        if (name, extras) in seen:
            continue
        with contextlib.suppress(metadata.PackageNotFoundError):
            for requirement in map(Requirement, metadata.requires(name) or ()):
                marker = requirement.marker
                if marker is None or any(marker.evaluate({"extra": one}) for one in ("", *extras)):
                    left.append(requirement)
            seen.add((name, extras))
    # Virtual environments come with pip, whose configuration is read.
    shipped = {name for name, _ in seen} | {"covalent-lambda-container", "pip", "setuptools"}
    return {
        module
        for module, distributions in metadata.packages_distributions().items()
        if shipped.isdisjoint(map(canonicalize_name, distributions))
    }


@dataclass(frozen=True)
class Dispatcher:
    """Runs workflow scripts against the server."""

    server: CovalentServer
    journal_file: Path

    def run(self, script: Path | str, *arguments: str) -> str:
        """Run a script as a user would; return what it printed."""
        client = subprocess.run(
            [sys.executable, str(WORKFLOWS / script), *arguments],
            env=dict(self.server.environment),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        log = self.server.log_file.read_text()[-8000:]
        assert client.returncode == 0, f"{client.stdout}\n{client.stderr}\n{log}"
        return client.stdout

    def outcome(self, script: str, *arguments: str) -> dict[str, Any]:
        """Run a script of tests/e2e/workflows; return the record it printed."""
        record: dict[str, Any] = json.loads(self.run(script, *arguments).splitlines()[-1])
        return record

    def steps(self, name: str) -> list[dict[str, Any]]:
        """Return what the executor recorded of one kind of step."""
        return [step for step in step_log.read(self.journal_file) if step["step"] == name]


AsInstalled = Callable[[], contextlib.AbstractContextManager[None]]


@pytest.fixture(scope="session")
def as_installed(tmp_path_factory: pytest.TempPathFactory) -> AsInstalled:
    """Show processes that start while the context is open only what an installation brings.

    A dispatcher must do without the packages of tasks, and none may be needed that is not declared.
    An environment of its own would show the same, and take a minute to make.
    """
    folder = tmp_path_factory.mktemp("as-installed")
    (folder / "sitecustomize.py").write_text(HIDE.format(hidden=sorted(not_shipped())))

    @contextlib.contextmanager
    def shown() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
            yield

    return shown


@contextlib.contextmanager
def running_dispatcher(folder: Path, executor: dict[str, Any]) -> Iterator[Dispatcher]:
    """Run a server whose executor has these options while the context is open."""
    journal_file = folder / "journal"
    server = covalent_server(
        folder / "server",
        {step_log.VARIABLE: str(journal_file)},
        print,
        executors={"awslambda_container": executor},
    )
    with server as running:
        yield Dispatcher(running, journal_file)


@pytest.fixture(scope="session")
def dispatcher(
    options: dict[str, Any],
    tmp_path_factory: pytest.TempPathFactory,
    as_installed: AsInstalled,
) -> Iterator[Dispatcher]:
    folder = tmp_path_factory.mktemp("covalent")
    executor = options | {"cache_dir": str(folder / "cache")}
    with contextlib.ExitStack() as running:
        with as_installed():
            dispatcher = running.enter_context(running_dispatcher(folder, executor))
        yield dispatcher
