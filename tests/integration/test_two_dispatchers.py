"""Two dispatchers build on one `cache_dir`; one is killed again and again."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.local.root_repository import push_root_image
from covalent_lambda_container.local.stack import LocalStack, local_stack

ROUNDS = 8
KILLED = 5
TOGETHER_S = 240

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def stack(engine: None, tmp_path: Path) -> Iterator[LocalStack]:
    """A stack of its own: all its functions are deleted."""
    with local_stack(tmp_path / "stack", print) as running:
        yield running


@pytest.fixture
def start(stack: LocalStack) -> Iterator[Start]:
    """Start a dispatcher with these options."""
    started: list[subprocess.Popen[str]] = []

    def start(options: dict[str, Any], *, rounds: int, seed: int) -> subprocess.Popen[str]:
        program = [sys.executable, "-m", "tests.integration.rebuilding_dispatcher"]
        arguments = [json.dumps(options), stack.owner_profile, str(rounds), str(seed)]
        started.append(
            subprocess.Popen(
                [*program, *arguments],
                cwd=Path(__file__).parents[2],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("builder", ["docker", "registry"])
def test_a_killed_dispatcher_leaves_nothing_that_keeps_others_from_building(
    stack: LocalStack, start: Start, root_image: str, cache_dir: str, builder: str
):
    root = push_root_image(stack, root_image) if builder == "registry" else root_image
    options = {**stack.executor_options(root), "cache_dir": cache_dir, "builder": builder}
    choose = random.Random(7)
    survivor = start(options, rounds=ROUNDS, seed=1)
    for seed in range(KILLED):
        victim = start(options, rounds=99, seed=100 + seed)
        time.sleep(choose.uniform(3, 12))
        assert victim.poll() is None, victim.communicate()[0][-3000:]
        victim.kill()
    said, _ = survivor.communicate(timeout=TOGETHER_S)
    assert survivor.returncode == 0, said[-3000:]
    assert said.count("round ") == ROUNDS
    # One that begins afterwards finds all that was left, and nothing that is damaged.
    last = start(options, rounds=4, seed=3)
    said, _ = last.communicate(timeout=TOGETHER_S)
    assert last.returncode == 0, said[-3000:]
