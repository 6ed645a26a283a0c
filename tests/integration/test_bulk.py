"""Many tasks at once, and tasks with much data."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container import AWSLambdaContainerExecutor
from covalent_lambda_container.local.emulator import Limits
from covalent_lambda_container.local.stack import local_stack
from tests.electron import execute, run


@pytest.mark.slow
def test_two_hundred_tasks_finish_where_five_may_run_at_once(
    engine: None, options: dict[str, Any], tmp_path: Path
):
    with local_stack(tmp_path / "stack", print, limits=Limits(concurrency=5)) as stack:
        executor = AWSLambdaContainerExecutor(
            **options
            | {
                "endpoint_url": stack.endpoint_url,
                "credentials_file": str(stack.credentials_file),
                "cache_dir": str(tmp_path / "cache"),
            }
        )

        def work(n: int) -> int:
            import time

            time.sleep(0.05)
            return n

        async def all_at_once() -> list[int]:
            tasks = [execute(executor, work, n, node_id=n) for n in range(200)]
            return [ended.value for ended in await asyncio.gather(*tasks)]

        assert asyncio.run(all_at_once()) == list(range(200))


def test_results_of_100_kb_stay_inline(
    options: dict[str, Any],
    aws: Callable[[str], Any],
    stack: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    executor = AWSLambdaContainerExecutor(**options, cache_dir=str(tmp_path / "cache"))
    run(executor, bytes, 1)
    log = stack.log_file
    written = log.read_text().count("PUT /covalent-lambda-job-resources")
    for _ in range(3):
        assert len(run(executor, bytes, 100_000).value) == 100_000
    assert log.read_text().count("PUT /covalent-lambda-job-resources") == written


@pytest.mark.slow
def test_a_thousand_results_of_100_kb(options: dict[str, Any], tmp_path: Path):
    executor = AWSLambdaContainerExecutor(**options, cache_dir=str(tmp_path / "cache"))

    async def twenty_at_a_time() -> list[int]:
        sizes = []
        for _ in range(50):
            tasks = [execute(executor, bytes, 100_000, node_id=n) for n in range(20)]
            sizes += [len(ended.value) for ended in await asyncio.gather(*tasks)]
        return sizes

    assert asyncio.run(twenty_at_a_time()) == [100_000] * 1000


@pytest.mark.slow
def test_500_mb_there_and_back(
    options: dict[str, Any], aws: Callable[[str], Any], stack: Any, tmp_path: Path
):
    executor = AWSLambdaContainerExecutor(
        **options, cache_dir=str(tmp_path / "cache"), memory_size=10240, timeout=300
    )
    size = 500_000_000
    made = run(executor, bytes, size).value
    assert len(made) == size
    assert run(executor, len, made).value == size
    left = aws("s3").list_objects_v2(Bucket=stack.bucket, Prefix="covalent-lambda/dispatch/")
    assert left.get("KeyCount", 0) == 0
