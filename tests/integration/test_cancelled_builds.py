"""Builds that nobody waits for any more stop at once, including the engine's work for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import pytest

from covalent_lambda_container.adapters.docker.containers import CONTAINER_LABEL
from covalent_lambda_container.concurrency.cancellation import Cancellation, Cancelled
from covalent_lambda_container.covalent_api.task import Task, bare_task
from covalent_lambda_container.executor.targets import FunctionTarget, FunctionTargets
from covalent_lambda_container.executor.wiring import service_for
from covalent_lambda_container.files.cache_folder import SCRATCH
from covalent_lambda_container.options.schema import Options
from covalent_lambda_container.packages.local_packages import LocalPackage, read_local_packages
from covalent_lambda_container.packages.requirements import Requirements
from tests.integration.running_commands import is_running

AT_ONCE_S = 10.0
"""On a busy machine; what is cancelled would take minutes, or never end."""
MARKER = f"no_other_test_has_{uuid.uuid4().hex}"
"""In the command of a build. Docker's cache does not know it, either."""


def sleeping(seconds: int) -> str:
    return f"python3 -c '{MARKER} = 1; import time; time.sleep({seconds})'"


@pytest.fixture
def silent_index() -> Iterator[str]:
    """A package index that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/simple"


@pytest.fixture
def large_package(tmp_path: Path) -> str:
    """A package that takes seconds to be compressed and pushed."""
    folder = tmp_path / "largepkg"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "data.bin").write_bytes(os.urandom(20_000_000))
    return str(folder)


def task_of(*requirements: str, **changes: Any) -> Task:
    return replace(bare_task(Requirements(packages=requirements)), **changes)


async def wait_for(condition: Callable[[], object]) -> None:
    ends = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < ends
        await asyncio.sleep(0.02)


def new_requirement() -> str:
    """Return a requirement that no engine has an image of."""
    return f"iniconfig>=2.0,!=9.{uuid.uuid4().int % 10**12}"


async def cancelled_at(
    state: str, targets: FunctionTargets, task: Task, packages: tuple[LocalPackage, ...] = ()
) -> float:
    """Cancel a task that waits for its image in a state of that; return when, by the clock."""
    cancellation, activity = Cancellation(), targets.activity(task, packages)
    asking = asyncio.ensure_future(targets.get(task, packages, cancellation))
    await wait_for(lambda: activity.text.startswith(state) or asking.done())
    if task.commands:
        await wait_for(lambda: is_running(MARKER))
    # The installer has started.
    await asyncio.sleep(0 if packages else 0.5)
    assert not asking.done(), f"it never was {state}: {asking}"
    began = time.monotonic()
    cancellation.request()
    with pytest.raises(Cancelled):
        await asyncio.wait_for(asking, AT_ONCE_S)
    return began


def check_nothing_is_left(options: dict[str, Any], aws: Callable[[str], Any], began: float) -> None:
    """Check that nothing runs for the image any more, and that nothing half-made was kept."""
    with contextlib.closing(docker.from_env()) as client:
        mine = f"{CONTAINER_LABEL}={os.getpid()}"
        while (
            client.containers.list(filters={"label": mine})
            or is_running(MARKER)
            or list(Path(options["cache_dir"]).glob(f"{SCRATCH}*"))
        ):
            assert time.monotonic() - began < AT_ONCE_S
            time.sleep(0.1)
    ecr = aws("ecr")
    with contextlib.suppress(ecr.exceptions.RepositoryNotFoundException):
        assert ecr.list_images(repositoryName=options["ecr_repository"])["imageIds"] == []


CASES = {
    "docker-command": ("docker", "installing", {"commands": (sleeping(300),)}, {}),
    "docker-installing": ("docker", "installing", {}, {"index": True}),
    "docker-pushing": ("docker", "pushing", {}, {"large": True}),
    "registry-installing": ("registry", "building the base", {}, {"index": True}),
    "registry-layer": ("registry", "adding the runtime", {}, {"large": True}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_build_stops_at_once_and_leaves_nothing_behind(
    case: str,
    options: dict[str, Any],
    root_in_registry: str,
    aws: Callable[[str], Any],
    stack: Any,
    cache_dir: str,
    silent_index: str,
    large_package: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    builder, state, changes, needs = CASES[case]
    given = options | {
        "base_image": root_in_registry,
        "builder": builder,
        "cache_dir": cache_dir,
        "ecr_repository": f"cancelled-{case}",
        "profile": stack.owner_profile,
        "local_packages": [large_package] if "large" in needs else [],
    }
    checked = Options.check(given)
    packages = read_local_packages(checked.local_packages)
    task = task_of(new_requirement(), **changes)
    if "index" in needs:
        monkeypatch.setenv("PIP_INDEX_URL", silent_index)

    async def run() -> FunctionTarget:
        targets = service_for(checked).targets
        began = await cancelled_at(state, targets, task, packages)
        await asyncio.to_thread(check_nothing_is_left, given, aws, began)
        monkeypatch.undo()
        # The next one is not harmed by it.
        other = replace(task, commands=())
        return await targets.get(other, packages, Cancellation())

    assert asyncio.run(run()).image.tag


def test_an_image_that_another_executor_waits_for_continues(
    options: dict[str, Any], root_in_registry: str, stack: Any, cache_dir: str
) -> None:
    given = options | {
        "base_image": root_in_registry,
        "cache_dir": cache_dir,
        "ecr_repository": "cancelled-shared",
        "profile": stack.owner_profile,
    }
    task = task_of(new_requirement(), commands=(sleeping(6),))

    async def run() -> FunctionTarget:
        one = service_for(Options.check(given)).targets
        other = service_for(Options.check(given | {"memory_size": 2048})).targets
        cancellation = Cancellation()
        first = asyncio.ensure_future(one.get(task, (), cancellation))
        await wait_for(lambda: is_running(MARKER))
        second = asyncio.ensure_future(other.get(task, (), Cancellation()))
        await asyncio.sleep(1)
        cancellation.request()
        target = await second
        with pytest.raises(Cancelled):
            await first
        return target

    assert asyncio.run(run()).image.tag
