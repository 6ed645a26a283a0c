"""The local stack loses all that it has, and Covalent's server, which uses it, goes on."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from covalent_lambda_container.local.child_process import free_port
from covalent_lambda_container.local.stack import local_stack
from tests.e2e.conftest import running_dispatcher

OUTCOME = ("COMPLETED", [[5, 2], [7, -4, 4, 3], "octopi"])
OUTAGE_S = 5.0


@pytest.mark.slow
def test_workflows_run_before_between_and_after(
    root_image: str, tmp_path: Path, cache_dir: str
) -> None:
    port = free_port()

    def run_workflow() -> tuple[str, Any]:
        record = dispatcher.outcome("functions.py")
        errors = [node["error"] for node in record["nodes"].values() if node["error"]]
        return record["status"], record["result"] or errors

    with contextlib.ExitStack() as running, ThreadPoolExecutor() as threads:
        with local_stack(tmp_path / "stack", print, port=port) as stack:
            executor = {**stack.executor_options(root_image), "cache_dir": cache_dir}
            dispatcher = running.enter_context(running_dispatcher(tmp_path, executor))
            assert run_workflow() == OUTCOME
        meanwhile = threads.submit(run_workflow)
        time.sleep(OUTAGE_S)
        with local_stack(tmp_path / "stack", print, port=port) as stack:
            assert executor.items() >= stack.executor_options(root_image).items()
            assert meanwhile.result() == OUTCOME
            assert run_workflow() == OUTCOME
