"""The local stack is stopped and started again, with nothing of what it had, below a dispatcher."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.errors import LambdaContainerError
from covalent_lambda_container.local.background import Background
from tests.electron import Ended, execute, run


@pytest.fixture
def background(engine: None, root_image: str, tmp_path: Path) -> Iterator[Background]:
    background = Background(tmp_path / "local")
    yield background
    background.down()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def test_the_tasks_that_follow_need_nothing_but_a_dispatch(background: Background, cache_dir: str):
    port = free_port()
    options: dict[str, Any] = dict(background.up(print, port=port).options)

    def executor(**own: Any) -> AWSLambdaContainerExecutor:
        return AWSLambdaContainerExecutor(**options, cache_dir=cache_dir, **own)

    one, other = executor(), executor(memory_size=640, prewarm=1)
    for known in (one, other):
        assert run(known, abs, -1).value == 1

    background.down()
    with pytest.raises(LambdaContainerError, match=f":{port}"):
        run(one, abs, -1)
    assert background.up(print, port=port).options == options

    async def several() -> list[Ended]:
        return await asyncio.gather(*(execute(known, abs, -1) for known in [one, other] * 3))

    assert [(ended.value, ended.stderr) for ended in asyncio.run(several())] == [(1, "")] * 6
