"""The local stack is stopped and started again, with nothing of what it had, below a dispatcher."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.local.child_process import free_port
from covalent_lambda_container.local.root_repository import push_root_image
from covalent_lambda_container.local.stack import LocalStack, local_stack
from tests.electron import Ended, execute, run


@pytest.mark.slow
@pytest.mark.parametrize("builder", ["docker", "registry"])
def test_the_tasks_that_follow_need_nothing_but_a_dispatch(
    engine: None, root_image: str, tmp_path: Path, cache_dir: str, builder: str
):
    port = free_port()

    def options(stack: LocalStack) -> dict[str, Any]:
        root = push_root_image(stack, root_image) if builder == "registry" else root_image
        return {**stack.executor_options(root), "cache_dir": cache_dir, "builder": builder}

    with local_stack(tmp_path / "stack", print, port=port) as stack:
        known = options(stack)
        executors = [
            AWSLambdaContainerExecutor(**known),
            AWSLambdaContainerExecutor(**known, memory_size=640, prewarm=1),
        ]
        for executor in executors:
            assert run(executor, abs, -1).value == 1
    with local_stack(tmp_path / "stack", print, port=port) as stack:
        assert options(stack) == known

        async def several() -> list[Ended]:
            return await asyncio.gather(*(execute(one, abs, -1) for one in executors * 3))

        assert [ended.value for ended in asyncio.run(several())] == [1] * 6
